"""Draw the means of Table 1: adapter between the rule and flexifed.figures.final_numbers."""

from pathlib import Path

from flexifed.figures import final_numbers
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    final_numbers.write(
        Path(snakemake.input.table1),
        Path(snakemake.output.svg).with_suffix(""),
    )
