"""Write the errors against published numbers: adapter between the rule and flexifed.analysis.deviation."""

from pathlib import Path

from flexifed.analysis import deviation
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    deviation.write(
        Path(snakemake.input.table1),
        Path(snakemake.input.runs),
        Path(snakemake.output.cells).parent,
        expected=study.cells(),
        protocols={name: study.protocol(name) for name in study.protocols},
        presets={name: study.preset(name) for name in study.protocols},
    )
