"""Write tables: adapter between a rule and the module of `flexifed.analysis` that it names.

The module's `write` takes the rule's inputs in their order, the folder of the tables, the study's cells and protocols.
"""

from importlib import import_module
from pathlib import Path

from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    import_module(f"flexifed.analysis.{snakemake.params.table}").write(
        *map(Path, snakemake.input),
        Path(snakemake.output.csv).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
    )
