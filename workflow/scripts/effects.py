"""Write the effects of a study: adapter between the rule and flexifed.analysis.effects."""

from pathlib import Path

from flexifed.analysis import effects
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    effects.write(
        Path(snakemake.input.cells),
        Path(snakemake.input.table1),
        Path(snakemake.output.csv).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
        effects=effects.of_study(study),
    )
