"""Render the report: adapter between the rule and flexifed.report."""

from pathlib import Path

from flexifed import report
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    sources = report.Sources(
        study.name,
        tables_folder=Path(snakemake.input.tables[0]).parent,
        runs_file=Path(snakemake.input.runs),
        figures=[Path(figure) for figure in snakemake.input.figures if figure.endswith(".png")],
        expected=study.cells(),
        finals={name: study.protocol(name).final for name in dict.fromkeys(cell.protocol for cell in study.cells())},
        has_effects=bool(study.effects),
        has_sweep=study.sweep is not None,
    )
    report.render(sources, Path(snakemake.output[0]))
