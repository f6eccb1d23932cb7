"""Draw accuracy against bytes: adapter between the rule and flexifed.costs_figure."""

from pathlib import Path

from flexifed import costs_figure, logs

with logs.to(snakemake.log[0]):
    costs_figure.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.costs),
        Path(snakemake.output.svg).with_suffix(""),
    )
