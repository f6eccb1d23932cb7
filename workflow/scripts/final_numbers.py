"""Draw the means of Table 1: adapter between the rule and flexifed.figures."""

from pathlib import Path

from flexifed import figures, logs

with logs.to(snakemake.log[0]):
    figures.write_final_numbers(
        Path(snakemake.input.table1),
        Path(snakemake.output.svg).with_suffix(""),
    )
