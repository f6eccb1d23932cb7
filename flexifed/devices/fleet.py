"""The devices of a federation: capacities and availability of every client, as one parquet file.

It is drawn by one plugin for each of the two, from the seed alone, so that all strategies of a seed meet the same
devices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flexifed.settings import registry, rng
from flexifed.system import files
from flexifed.system.errors import UserError

Seconds = NDArray[np.float64]

PERIOD = b"period_seconds"
SCHEMA = pa.schema(
    [
        ("client", pa.int32()),
        ("milliseconds_per_sample", pa.float64()),
        ("kilobits_per_second", pa.float64()),
        ("starts", pa.list_(pa.float64())),
        ("ends", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class Capacities:
    """How fast the devices of K clients are."""

    milliseconds_per_sample: NDArray[np.float64]
    """Of a forward pass, float64 [K], above 0."""
    kilobits_per_second: NDArray[np.float64]
    """Of the network in either direction, float64 [K], above 0."""


@dataclass(frozen=True)
class Spells:
    """When the devices of K clients are available, again and again with one period.

    A client is available at a time t where ``start <= t % period < end`` for one of its spells. Its spells ascend and
    do not touch, and none crosses the end of the period: one that would is two, which end and begin there.
    """

    period: float
    """Seconds, above 0."""
    starts: list[Seconds]
    """Seconds from the beginning of the period, K arrays of float64; an empty one for a client that never is."""
    ends: list[Seconds]
    """As `starts`; above the start, and at most the period."""


@dataclass(frozen=True)
class Fleet:
    """The devices of K clients."""

    capacities: Capacities
    spells: Spells

    def __len__(self) -> int:
        return len(self.spells.starts)


def draw(
    capacity: str,
    capacity_options: Mapping[str, Any],
    availability: str,
    availability_options: Mapping[str, Any],
    *,
    clients: int,
    seed: int,
    order: str = "drawn",
) -> Fleet:
    """Draw the devices of a federation; the same seed gives the same ones.

    Args:
        capacity: a plugin of `devices/capacity`, and its options.
        capacity_options: see `capacity`.
        availability: a plugin of `devices/availability`, and its options.
        availability_options: see `availability`.
        clients: number of clients.
        seed: of the study's cell.
        order: "slowest_first" gives the devices that compute slowest to the first clients.

    Raises:
        UserError: an option is not known or allowed, a table or trace cannot be read or is too small, or the trace
            leaves nobody available.
    """
    registry.check_options("capacity", capacity, capacity_options)
    registry.check_options("availability", availability, availability_options)
    capacities = registry.load("capacity", capacity).capacities
    spells = registry.load("availability", availability).spells
    drawn: Capacities = capacities(clients, rng.stream(seed, "devices", "capacity"), **capacity_options)
    fleet = Fleet(
        _slowest_first(drawn) if order == "slowest_first" else drawn,
        spells(clients, rng.stream(seed, "devices", "availability"), **availability_options),
    )
    if fault := _fault(fleet):
        raise UserError(f"capacity {capacity!r} and availability {availability!r} give no devices: {fault}.")
    return fleet


def _slowest_first(drawn: Capacities) -> Capacities:
    order = np.argsort(-drawn.milliseconds_per_sample, kind="stable")
    return Capacities(drawn.milliseconds_per_sample[order], drawn.kilobits_per_second[order])


def write(path: Path, fleet: Fleet) -> None:
    """Write the devices, a row for each client; equal fleets give equal bytes.

    Columns: client int32, milliseconds_per_sample and kilobits_per_second float64, starts and ends list of float64
    (seconds). The period, in seconds, is in the metadata of the schema.
    """
    capacities, spells = fleet.capacities, fleet.spells
    columns = [
        pa.array(np.arange(len(fleet), dtype=np.int32)),
        pa.array(capacities.milliseconds_per_sample),
        pa.array(capacities.kilobits_per_second),
        pa.array(spells.starts, SCHEMA.field("starts").type),
        pa.array(spells.ends, SCHEMA.field("ends").type),
    ]
    schema = SCHEMA.with_metadata({PERIOD: repr(float(spells.period)).encode()})
    with files.complete(path) as partial:
        table = pa.Table.from_arrays(columns, schema=schema)
        pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def read(path: Path, clients: int) -> Fleet:
    """Read the devices of so many clients.

    Raises:
        UserError: the file is not there, is damaged, holds what no device can be, or was drawn for other clients; it is
            named, and the client.
    """
    with files.parquet(path, SCHEMA.names) as file:
        metadata = file.schema_arrow.metadata or {}
        table = file.read().cast(SCHEMA)
    _check_clients(path, table["client"].to_numpy(), clients)
    if gap := next((name for name in SCHEMA.names if table[name].null_count), None):
        raise UserError(f"{path} holds no devices: {gap} has gaps. Draw the devices again.")
    capacities = Capacities(*(table[name].to_numpy() for name in SCHEMA.names[1:3]))
    starts, ends = (_lists(table[name]) for name in SCHEMA.names[3:])
    fleet = Fleet(capacities, Spells(_period(path, metadata), starts, ends))
    if fault := _fault(fleet):
        raise UserError(f"{path} holds no devices: {fault}. Draw the devices again.")
    return fleet


def _check_clients(path: Path, found: NDArray[np.int32], clients: int) -> None:
    """Refuse a file that has not one row for each client, in order."""
    if len(missing := np.setdiff1d(np.arange(clients), found)):
        more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise UserError(f"{path} has no device for client {missing[0]}{more}. Draw the devices again.")
    if not np.array_equal(found, np.arange(clients)):
        raise UserError(f"{path} has {len(found):,} rows for {clients:,} clients in order. Draw the devices again.")


def _period(path: Path, metadata: Mapping[bytes, bytes]) -> float:
    try:
        return float(metadata[PERIOD])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} does not say how long its period is. Draw the devices again.") from error


def _lists(column: pa.ChunkedArray) -> list[Seconds]:
    return [np.array(values, np.float64) for values in column.to_pylist()]


def _fault(fleet: Fleet) -> str | None:
    """What no devices can be, if there is such."""
    capacities, spells = fleet.capacities, fleet.spells
    for name, values in vars(capacities).items():
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            return f"{name} of client {wrong[0]} is {values[wrong[0]]:g}, expected a number above 0"
    if not (np.isfinite(spells.period) and spells.period > 0):
        return f"the period is {spells.period:g} seconds, expected a number above 0"
    for client, (starts, ends) in enumerate(zip(spells.starts, spells.ends, strict=True)):
        if not _ascending(starts, ends, spells.period):
            return f"the spells of client {client} do not ascend from 0 to the period of {spells.period:g} seconds"
    if not any(map(len, spells.starts)):
        return "nobody is ever available"
    return None


def _ascending(starts: Seconds, ends: Seconds, period: float) -> bool:
    if len(starts) != len(ends):
        return False
    times = np.stack([starts, ends], axis=1).ravel()
    return bool(len(times) == 0 or (times[0] >= 0 and times[-1] <= period and (np.diff(times) > 0).all()))
