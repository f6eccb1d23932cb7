"""Write the tables: adapter between the rule and flexifed.tables."""

from pathlib import Path

from flexifed import config, logs, tables

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    tables.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.runs),
        Path(snakemake.output.csv).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
    )
