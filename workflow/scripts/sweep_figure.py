"""Draw the sweep of a study: adapter between the rule and flexifed.figures.sweep."""

from pathlib import Path

from flexifed.figures import sweep
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    sweep.write(
        Path(snakemake.input.sweep),
        Path(snakemake.output.svg).with_suffix(""),
    )
