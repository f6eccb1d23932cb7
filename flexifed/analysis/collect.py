"""Every cell's results into two tables: `cells.parquet` (all curves) and `runs.parquet` (one row for each run).

Nothing later opens a cell again: tables, figures and the report are functions of these two files.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flexifed.system import files
from flexifed.system.errors import UserError

CELL = ["dataset", "family", "strategy", "protocol", "seed"]
"""The columns that identify a cell."""

_WORD = pa.dictionary(pa.int32(), pa.string())
CURVES = pa.schema(
    [
        ("dataset", _WORD),
        ("family", _WORD),
        ("strategy", _WORD),
        ("protocol", _WORD),
        ("seed", pa.int32()),
        ("round", pa.int32()),
        ("client", pa.int32()),
        ("version", _WORD),
        ("phase", _WORD),
        ("metric", _WORD),
        ("value", pa.float64()),
    ]
)
"""Columns of `cells.parquet`."""

RUNS = pa.schema(
    [
        ("dataset", pa.string()),
        ("family", pa.string()),
        ("strategy", pa.string()),
        ("protocol", pa.string()),
        ("seed", pa.int32()),
        ("width", pa.float64()),
        ("family_options", pa.string()),
        ("data_options", pa.string()),
        ("data_notes", pa.string()),
        ("rounds", pa.int32()),
        ("clients", pa.int32()),
        ("partitioner", pa.string()),
        ("classifier", pa.string()),
        ("normalisation", pa.string()),
        ("protocol_settings", pa.string()),
        ("settings_digest", pa.string()),
        ("engine", pa.string()),
        ("precision", pa.string()),
        ("verified", pa.bool_()),
        ("source_how", pa.string()),
        ("classes", pa.int32()),
        ("n_train", pa.int64()),
        ("n_test", pa.int64()),
        ("bytes_up_per_round", pa.int64()),
        ("bytes_down_per_round", pa.int64()),
        ("bytes_by_client", pa.string()),
        ("commit", pa.string()),
        ("dirty", pa.bool_()),
        ("code", pa.string()),
        ("torch", pa.string()),
        ("device", pa.string()),
        ("started", pa.string()),
        ("seconds", pa.float64()),
    ]
)
"""Columns of `runs.parquet`; options, settings and the bytes of each client in a round are JSON, other bytes are sums
over the clients; `device` joins those of a run's sessions by `; `. Empty where not recorded.

`settings_digest` is the start of the SHA-256 digest of all settings of the record, so equal settings have equal ones.
"""


def collect(cell_folders: Sequence[Path], cells: Path, runs: Path) -> None:
    """Write `cells` (see `CURVES`) and `runs` (see `RUNS`), in the order of `cell_folders`.

    One cell is held in memory at a time: each becomes a row group of `cells`.

    Raises:
        UserError: a folder lacks `history.parquet` or `run.json`, or two folders hold the same cell.
    """
    rows: dict[tuple[str | int, ...], dict[str, Any]] = {}
    with files.complete(cells) as partial, pq.ParquetWriter(partial, CURVES) as writer:
        for folder in map(Path, cell_folders):
            history, run = _read(folder)
            identity = tuple(run["cell"][key] for key in CELL)
            if identity in rows:
                name = "/".join(map(str, identity))
                raise UserError(f"{folder}: the cell {name} was already collected from another folder.")
            rows[identity] = _run_row(run)
            writer.write_table(_with_cell(history, run["cell"]))
    with files.complete(runs) as partial:
        pq.write_table(pa.Table.from_pylist(list(rows.values()), schema=RUNS), partial)


def _read(folder: Path) -> tuple[pa.Table, dict[str, Any]]:
    for name in ("history.parquet", "run.json"):
        if not (folder / name).is_file():
            raise UserError(f"{folder}: no {name}, so this is not a finished cell; train it first.")
    return pq.ParquetFile(folder / "history.parquet").read(), files.read_json(folder / "run.json")


def _with_cell(history: pa.Table, cell: Mapping[str, Any]) -> pa.Table:
    """The history with the cell's five columns in front, in the types of `CURVES`."""

    def column(field: pa.Field) -> pa.Array | pa.ChunkedArray:
        if field.name not in cell:
            return history.column(field.name).cast(field.type)
        if field.type == _WORD:
            return pa.DictionaryArray.from_arrays(np.zeros(len(history), np.int32), [cell[field.name]])
        return pa.repeat(pa.scalar(cell[field.name], field.type), len(history))

    return pa.table([column(field) for field in CURVES], schema=CURVES)


def _run_row(run: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `RUNS` from a cell's `run.json`."""
    protocol, options = run["settings"]["protocol"], run["settings"]["family_options"]
    data, commit, traffic = run["data"], run["commit"] or {}, run["bytes_per_round"]
    return {
        **run["cell"],
        "width": options.get("width", 1.0),
        "family_options": json.dumps(options, sort_keys=True),
        "data_options": json.dumps(data["options"], sort_keys=True),
        "data_notes": " ".join(data["notes"]),
        "rounds": protocol["rounds"],
        "clients": protocol["clients"],
        "partitioner": protocol["partition"]["partitioner"],
        "classifier": protocol["classifier"],
        "normalisation": protocol["normalisation"],
        "protocol_settings": json.dumps(protocol, sort_keys=True),
        "settings_digest": _digest(run["settings"]),
        "engine": run["settings"]["engine"],
        "precision": run["settings"].get("precision", "float32"),  # older records know no other
        "verified": data["source"]["verified"],
        "source_how": data["source"]["how"],
        "classes": len(data["classes"]),
        "n_train": data["n_train"],
        "n_test": data["n_test"],
        "bytes_up_per_round": sum(client["up"] for client in traffic),
        "bytes_down_per_round": sum(client["down"] for client in traffic),
        "bytes_by_client": json.dumps(traffic),
        "commit": commit.get("id"),
        "dirty": commit.get("dirty"),
        "code": run["digests"]["code"],
        "torch": run["packages"].get("torch"),
        "device": "; ".join(dict.fromkeys(session["device"] for session in run.get("sessions", [run]))),
        "started": run["started"],
        "seconds": run["seconds"],
    }


def _digest(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def read_curves(cells: Path, **equal: str | Sequence[str]) -> pd.DataFrame:
    """The rows of `cells.parquet` in which each named column has the given value or one of several: `metric="loss"`."""
    wanted = None
    for column, value in equal.items():
        matches = pc.field(column).isin([value] if isinstance(value, str) else list(value))
        wanted = matches if wanted is None else wanted & matches
    table: pd.DataFrame = pq.read_table(cells, filters=wanted).to_pandas()
    return table


def read_runs(runs: Path) -> pd.DataFrame:
    """`runs.parquet` as a table."""
    table: pd.DataFrame = pq.read_table(runs).to_pandas()
    return table
