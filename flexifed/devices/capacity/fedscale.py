"""Devices out of FedScale's table: speed and bandwidth of real phones (Lai et al., ICML 2022).

The table is a CSV with the columns client_id, computation_ms (a forward pass of one sample) and communication_kbps.
FedScale publishes it as a pickle (`benchmark/dataset/data/device_info/client_device_capacity`), which is refused.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexifed.devices.fleet import Capacities
from flexifed.devices.sources import refuse_pickle
from flexifed.system.errors import UserError

ALLOWED: dict[str, tuple[str, ...]] = {"file": ()}

COLUMNS = ("computation_ms", "communication_kbps")

CONVERT = (
    "import pandas; pandas.DataFrame.from_dict(pandas.read_pickle('{path}'), orient='index')"
    ".rename(columns=dict(computation='computation_ms', communication='communication_kbps'))"
    ".to_csv('{path}.csv', index_label='client_id')"
)


def capacities(
    clients: int, rng: np.random.Generator, *, file: str = "local-data/devices/client_device_capacity.csv"
) -> Capacities:
    """Draw devices of the table without replacement.

    Args:
        clients: number of clients.
        rng: of the devices' capacities.
        file: the table, from the folder in which the pipeline is started.

    Raises:
        UserError: the table is not there, is a pickle, lacks a column, has a value that is no number above 0 (its line
            is named), or has fewer devices than there are clients.
    """
    table = np.array(list(_rows(Path(file))), np.float64)
    if len(table) < clients:
        raise UserError(f"{file} has {len(table):,} devices, {clients:,} clients need as many: use fewer clients.")
    return Capacities(*table[rng.choice(len(table), clients, replace=False)].T.copy())


def _rows(path: Path) -> Iterator[list[float]]:
    """Milliseconds and kilobits of each device."""
    refuse_pickle(path, CONVERT)
    with path.open(newline="", encoding="utf-8", errors="replace") as stream:
        table = csv.DictReader(stream)
        missing = [name for name in COLUMNS if name not in (table.fieldnames or ())]
        if missing:
            raise UserError(f"{path}: there is no column {missing[0]}; expected client_id, {', '.join(COLUMNS)}.")
        for row in table:
            yield [_number(f"{path}, line {table.line_num}: {name}", row[name]) for name in COLUMNS]


def _number(what: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"{what} is {text or 'missing'!r}, expected a number above 0.")
    return value
