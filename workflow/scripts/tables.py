"""Write the tables: adapter between the rule and flexifed.analysis.tables."""

from pathlib import Path

from flexifed.analysis import tables
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    tables.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.runs),
        Path(snakemake.output.csv).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
    )
