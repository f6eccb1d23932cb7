"""Write the sweep of a study: adapter between the rule and flexifed.analysis.sweep."""

from pathlib import Path

from flexifed.analysis import sweep
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    sweep.write(
        Path(snakemake.input.cells),
        Path(snakemake.output.csv).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
        over=study.sweep.over,
        values=study.sweep.levels,
    )
