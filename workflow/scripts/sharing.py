"""Draw who shares which layer: adapter between the rule and flexifed.figures.sharing."""

from pathlib import Path

from flexifed.figures import sharing
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    sharing.write(
        [Path(path) for path in snakemake.input.plans],
        Path(snakemake.output.svg).with_suffix(""),
    )
