"""Draw accuracy against bytes: adapter between the rule and flexifed.figures.costs."""

from pathlib import Path

from flexifed.figures import costs
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    costs.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.costs),
        Path(snakemake.output.svg).with_suffix(""),
    )
