"""Tables, figures and a page of a folder of reference results, from its cells and its queue alone."""

import os
from pathlib import Path

from flexifed import report
from flexifed.analysis import beside, collect, costs, deviation, effects, elastic, fairness, headline, seconds, tables
from flexifed.figures import budgets, convergence, convergence_seconds, errors, final_numbers, loss, overview, sharing
from flexifed.figures import costs as costs_figure
from flexifed.figures import effects as effects_figure
from flexifed.reference import queue
from flexifed.settings import layout
from flexifed.study.single import Run
from flexifed.system.errors import UserError


def finished(folder: Path, runs: tuple[Run, ...]) -> list[Path]:
    """The folders of the queue's cells that are there, in the order of the queue."""
    cells = [folder / layout.CELL.format(**vars(run.job.cell)) for run in runs]
    return [cell for cell in cells if (cell / "run.json").is_file()]


def render(folder: Path) -> Path:
    """Write `tables/` and `figures/` into the folder, and the long tables and the page below `results/{study}/`.

    Cells of the queue that are not there are shown as missing.

    Returns:
        The page, `results/{study}/reference/report.html`.

    Raises:
        UserError: no cell of the queue is there.
    """
    runs = queue.read(folder)
    cells = finished(folder, runs)
    if not cells:
        raise UserError(f"{folder}: no cell of its queue is there yet; run some first (docs/reference.md).")
    out = layout.study_folder(runs[0].study) / "reference"
    curves, records = out / "cells.parquet", out / "runs.parquet"
    collect.collect(cells, curves, records)
    _write_tables(folder, runs, curves, records)
    page = out / "report.html"
    sources = report.Sources(
        runs[0].study,
        tables_folder=folder / "tables",
        runs_file=records,
        figures=[*_figures(folder, runs, curves)],
        expected=[run.job.cell for run in runs],
        finals={run.job.cell.protocol: run.job.protocol.final for run in runs},
        has_effects=bool(effects.of_folder(folder)),
        has_fairness=layout.has_fairness(run.job.protocol for run in runs),
        has_clock=layout.has_clock(run.job.protocol for run in runs),
        has_budgets=layout.has_budgets(run.job.protocol for run in runs),
        curves_file=curves,
        records=Path(os.path.relpath(folder, out)),
    )
    report.render(sources, page)
    return page


def _write_tables(folder: Path, runs: tuple[Run, ...], curves: Path, records: Path) -> None:
    written, table1, named = folder / "tables", folder / "tables/table1.csv", effects.of_folder(folder)
    expected = [run.job.cell for run in runs]
    protocols = {run.job.cell.protocol: run.job.protocol for run in runs}
    tables.write(curves, records, written, expected=expected, protocols=protocols)
    headline.write(curves, table1, written, expected=expected, protocols=protocols)
    costs.write(curves, records, table1, written, expected=expected, protocols=protocols)
    beside.write(curves, records, written, expected=expected, protocols=protocols)
    if layout.has_fairness(protocols.values()):
        fairness.write(curves, written, expected=expected, protocols=protocols)
    if layout.has_budgets(protocols.values()):
        elastic.write(curves, records, written, expected=expected, protocols=protocols)
    if layout.has_clock(protocols.values()):
        seconds.write(curves, written, expected=expected, protocols=protocols)
    presets = {name: name for name in protocols}  # a queue has protocols resolved; names of presets are theirs
    deviation.write(table1, records, written, expected=expected, protocols=protocols, presets=presets)
    if named:
        effects.write(curves, table1, written, expected=expected, protocols=protocols, effects=named)


def _figures(folder: Path, runs: tuple[Run, ...], curves: Path) -> list[Path]:
    """Draw every figure that needs no data set, of what is there; returns the PNG files."""
    table1, stems = folder / "tables/table1.csv", [folder / "figures/final_numbers"]
    final_numbers.write(table1, stems[0])
    if effects.of_folder(folder):
        stems.append(folder / "figures/effects")
        effects_figure.write(folder / "tables/effects.csv", stems[-1])
    if layout.has_overview(run.job.cell for run in runs):
        stems += [folder / f"figures/{name}" for name in ("costs", "overview", "loss")]
        costs_figure.write(curves, folder / "tables/costs.csv", stems[-3])
        overview.write(curves, table1, stems[-2])
        loss.write(curves, table1, stems[-1])
    stems.append(folder / "figures/errors")
    errors.write(folder / "tables/errors.csv", stems[-1])
    there = [run.job.cell for run in runs if finished(folder, (run,))]
    for dataset, family, protocol in dict.fromkeys((c.dataset, c.family, c.protocol) for c in there):
        stems.append(folder / f"figures/convergence.{dataset}.{family}.{protocol}")
        convergence.write(curves, table1, stems[-1], dataset=dataset, family=family, protocol=protocol)
    on_devices = {run.job.cell for run in runs if run.job.protocol.devices}
    for dataset, family, protocol in dict.fromkeys((c.dataset, c.family, c.protocol) for c in there if c in on_devices):
        stems.append(folder / f"figures/convergence_seconds.{dataset}.{family}.{protocol}")
        convergence_seconds.write(curves, table1, stems[-1], dataset=dataset, family=family, protocol=protocol)
    with_budgets = {run.job.cell for run in runs if run.job.protocol.budgets}
    tables_there = dict.fromkeys((c.dataset, c.family, c.protocol) for c in there if c in with_budgets)
    for dataset, family, protocol in tables_there:
        stems.append(folder / f"figures/budgets.{dataset}.{family}.{protocol}")
        budgets.write(folder / layout.BUDGETS.format(dataset=dataset, family=family, protocol=protocol), stems[-1])
    patterns = {run.job.cell: layout.plan(run.job.protocol) for run in runs}
    for family, protocol in dict.fromkeys((c.family, c.protocol) for c in there):
        stems.append(folder / f"figures/sharing.{family}.{protocol}")
        same = [c for c in there if (c.family, c.protocol) == (family, protocol)]
        plans = dict.fromkeys(folder / patterns[cell].format(**vars(cell)) for cell in same)
        sharing.write([*plans], stems[-1])
    return [stem.with_name(f"{stem.name}.png") for stem in stems]
