"""Draw the convergence of the whole study: adapter between the rule and flexifed.figures.overview."""

from pathlib import Path

from flexifed.figures import overview
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    overview.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.table1),
        Path(snakemake.output.svg).with_suffix(""),
    )
