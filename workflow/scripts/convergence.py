"""Draw one block's convergence: adapter between the rule and flexifed.figures."""

from pathlib import Path

from flexifed import figures, logs

with logs.to(snakemake.log[0]):
    figures.write_convergence(
        Path(snakemake.input.cells),
        Path(snakemake.input.table1),
        Path(snakemake.output.svg).with_suffix(""),
        **dict(snakemake.wildcards.items()),
    )
