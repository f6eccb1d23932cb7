"""Draw one block's convergence: adapter between the rule and flexifed.figures.convergence."""

from pathlib import Path

from flexifed.figures import convergence
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    convergence.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.table1),
        Path(snakemake.output.svg).with_suffix(""),
        **dict(snakemake.wildcards.items()),
    )
