"""Collect the cells: adapter between the rule and flexifed.collect."""

from pathlib import Path

from flexifed import logs
from flexifed.collect import collect

with logs.to(snakemake.log[0]):
    collect(
        [Path(record).parent for record in snakemake.input.records],
        cells=Path(snakemake.output.cells),
        runs=Path(snakemake.output.runs),
    )
