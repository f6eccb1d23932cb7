"""Collect the cells: adapter between the rule and flexifed.analysis.collect."""

from pathlib import Path

from flexifed.analysis.collect import collect
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    collect(
        [Path(record).parent for record in snakemake.input.records],
        cells=Path(snakemake.output.cells),
        runs=Path(snakemake.output.runs),
    )
