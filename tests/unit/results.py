"""A small study written by hand, for the tests of collect, tables, figures and report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from flexifed.analysis import beside, costs, deviation, headline, tables
from flexifed.analysis.collect import collect
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Partition, Protocol

Accuracy = Mapping[str, float | tuple[float, ...]]
"""Percent by version: of its one client, or of each of its clients."""

PROTOCOL = Protocol(clients=2, versions=("V1", "V2"), rounds=2, partition=Partition(options={"parts": 2}))
"""Two clients, one of each version; two rounds, of which the last is the final number."""
FOUR = replace(PROTOCOL, clients=4, versions=Protocol().versions)
"""The same with a client of each of the paper's versions."""


def write_cell(
    folder: Path,
    cell: Cell,
    accuracy: Accuracy,
    *,
    width: float = 1.0,
    verified: bool = True,
    rounds: int = PROTOCOL.rounds,
    data_options: Mapping[str, str] | None = None,
) -> Path:
    """A cell whose clients reach `accuracy` after the last aggregation.

    Every accuracy is 10 points lower one round before, 5 lower before aggregation, and 2 lower in training mode.
    """
    rows = []
    clients = [
        (v, p) for v, percent in accuracy.items() for p in (percent if isinstance(percent, tuple) else [percent])
    ]
    for round_number in range(1, rounds + 1):
        for client, (version, percent) in enumerate(clients):
            value = percent / 100 - 0.1 * (rounds - round_number)
            where = {"round": round_number, "client": client, "version": version}
            rows += [
                {**where, "phase": "local", "metric": "accuracy", "value": value - 0.05},
                {**where, "phase": "aggregated", "metric": "accuracy", "value": value},
                {**where, "phase": "aggregated", "metric": "accuracy_train_mode", "value": value - 0.02},
                {**where, "phase": "aggregated", "metric": "loss", "value": 1.5},
            ]
    types = {"round": pa.int32(), "client": pa.int32(), "version": pa.string(), "phase": pa.string()}
    schema = pa.schema([*types.items(), ("metric", pa.string()), ("value", pa.float64())])
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "history.parquet")
    run = {
        "cell": asdict(cell),
        "settings": {
            "protocol": asdict(PROTOCOL),
            "family_options": {"width": width},
            "engine": "serial",
            "precision": "float32",
        },
        "data": {
            "classes": ["a", "b"],
            "n_train": 100,
            "n_test": 20,
            "source": {"verified": verified, "how": "official archive" if verified else "local copy, not verified"},
            "options": dict(data_options or {}),
            "notes": [],
        },
        "digests": {"code": "c0de"},
        "commit": {"id": "0123456789abcdef", "dirty": False},
        "packages": {"torch": "2.14.1"},
        "device": "a device",
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 36.0,
        "bytes_per_round": [{"client": i, "version": v, "up": 100, "down": 200} for i, (v, _) in enumerate(clients)],
        "parameters": dict.fromkeys(accuracy, 10),
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def write_study(folder: Path, cells: Mapping[Cell, Accuracy], **settings: Any) -> tuple[Path, Path]:
    """Write cells and collect them: paths of `cells.parquet` and `runs.parquet`."""
    folders = [write_cell(folder / "cells" / str(c), c, accuracy, **settings) for c, accuracy in cells.items()]
    collect(folders, folder / "cells.parquet", folder / "runs.parquet")
    return folder / "cells.parquet", folder / "runs.parquet"


def write_tables(folder: Path, expected: Sequence[Cell], protocols: Mapping[str, Protocol], out: Path) -> None:
    """Every table that the report of the study in `folder` reads, except effects."""
    cells, runs, table1 = folder / "cells.parquet", folder / "runs.parquet", out / "table1.csv"
    tables.write(cells, runs, out, expected=expected, protocols=protocols)
    headline.write(cells, table1, out, expected=expected, protocols=protocols)
    costs.write(cells, runs, table1, out, expected=expected, protocols=protocols)
    beside.write(cells, runs, out, expected=expected, protocols=protocols)
    presets = {name: name for name in protocols}
    deviation.write(table1, runs, out, expected=expected, protocols=protocols, presets=presets)


def cut_off(figure: Figure) -> list[str]:
    """What of a figure's legend, captions and titles does not fit on it."""
    figure.set_dpi(150)
    FigureCanvasAgg(figure).draw()
    width, height = figure.canvas.get_width_height()
    beside = [*figure.get_children(), *(child for panel in figure.axes for child in panel.get_children())]
    beside += [part for legend in figure.legends for part in (*legend.get_texts(), *legend.legend_handles) if part]
    boxes = {str(part): part.get_window_extent() for part in beside if isinstance(part, Text | Line2D)}
    return [name for name, b in boxes.items() if b.x0 < 0 or b.y0 < 0 or b.x1 > width or b.y1 > height]
