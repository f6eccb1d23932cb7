"""Draw the errors against published numbers: adapter between the rule and flexifed.deviation_figure."""

from pathlib import Path

from flexifed import deviation_figure, logs

with logs.to(snakemake.log[0]):
    deviation_figure.write(
        Path(snakemake.input.errors),
        Path(snakemake.output.svg).with_suffix(""),
    )
