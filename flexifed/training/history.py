"""The history of a cell: one long table of what was measured when, on whom."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flexifed.system.files import complete

SCHEMA = pa.schema(
    [
        ("round", pa.int32()),
        ("client", pa.int32()),
        ("version", pa.string()),
        ("phase", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
    ]
)
"""`phase`: `local` (after local training), `aggregated`, or `clock`. `metric`: the task's, e.g. `accuracy` (0 .. 1) and
`loss` (test, nats); `accuracy_train_mode`; `train_loss` (mean over the round's local training, nats); in the phase
`clock` `seconds` (simulated, since the start) and `dropped` (invited to the round and not kept)."""

TOGETHER = -1
"""Stands for a client: of the clients of a version together, or of the whole round."""


class History:
    """Rows in the order they were measured; the same run gives the same bytes."""

    def __init__(self) -> None:
        self._columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}

    def add(self, round_number: int, client: int, version: str, phase: str, metric: str, value: float) -> None:
        """Append one measurement."""
        row = (round_number, client, version, phase, metric, value)
        for column, entry in zip(self._columns.values(), row, strict=True):
            column.append(entry)

    def columns(self) -> dict[str, list[object]]:
        """All rows by column, ready for JSON."""
        return self._columns

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[object]]) -> "History":
        """The inverse of `columns`."""
        history = cls()
        history._columns = {name: list(columns[name]) for name in SCHEMA.names}
        return history

    def write(self, path: Path) -> None:
        """Write the table as parquet, complete or not at all."""
        with complete(path) as partial:
            pq.write_table(pa.table(self._columns, schema=SCHEMA), partial)
