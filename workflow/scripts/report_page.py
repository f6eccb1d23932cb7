"""Render the report: adapter between the rule and flexifed.report."""

from pathlib import Path

from flexifed import config, logs, report

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    report.render(
        study.name,
        Path(snakemake.output[0]),
        tables_folder=Path(snakemake.input.tables[0]).parent,
        runs=Path(snakemake.input.runs),
        figures=[Path(figure) for figure in snakemake.input.figures if figure.endswith(".png")],
        expected=study.cells(),
        effects_table=Path(snakemake.input.effects) if study.effects else None,
    )
