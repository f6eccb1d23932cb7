"""Write the tables: adapter between the rule and flexifed.analysis.tables."""

from pathlib import Path

from flexifed import config, logs
from flexifed.analysis import tables

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    tables.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.runs),
        Path(snakemake.output.csv).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
    )
