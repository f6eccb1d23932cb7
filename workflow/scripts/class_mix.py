"""Draw the clients' class mixes: adapter between the rule and flexifed.figures."""

from pathlib import Path

from flexifed import figures, logs

with logs.to(snakemake.log[0]):
    figures.write_class_mix(
        Path(snakemake.input.partition),
        Path(snakemake.input.card).parent,
        Path(snakemake.output.svg).with_suffix(""),
    )
