"""Draw the sweep of a study: adapter between the rule and flexifed.sweep_figure."""

from pathlib import Path

from flexifed import logs, sweep_figure

with logs.to(snakemake.log[0]):
    sweep_figure.write(
        Path(snakemake.input.sweep),
        Path(snakemake.output.svg).with_suffix(""),
    )
