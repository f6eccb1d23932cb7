"""Render the report: adapter between the rule and flexifed.report."""

from pathlib import Path

from flexifed import report
from flexifed.settings import layout
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    protocols = {name: study.protocol(name) for name in dict.fromkeys(cell.protocol for cell in study.cells())}
    sources = report.Sources(
        study.name,
        tables_folder=Path(snakemake.input.tables[0]).parent,
        runs_file=Path(snakemake.input.runs),
        figures=[Path(figure) for figure in snakemake.input.figures if figure.endswith(".png")],
        expected=study.cells(),
        finals={name: protocol.final for name, protocol in protocols.items()},
        has_effects=bool(study.effects),
        has_sweep=study.sweep is not None,
        has_fairness=layout.has_fairness(protocols.values()),
        has_clock=layout.has_clock(protocols.values()),
        has_budgets=layout.has_budgets(protocols.values()),
        curves_file=Path(snakemake.input.cells),
    )
    report.render(sources, Path(snakemake.output[0]))
