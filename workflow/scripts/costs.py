"""Write what each line costs: adapter between the rule and flexifed.analysis.costs."""

from pathlib import Path

from flexifed.analysis import costs
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    costs.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.runs),
        Path(snakemake.input.table1),
        Path(snakemake.output.csv).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
    )
