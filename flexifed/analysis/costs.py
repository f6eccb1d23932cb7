"""What a line costs: megabytes, rounds and seconds, in all and to the target of `flexifed.analysis.speed`.

Bytes are those of the run record: the averaged values of a client as float32 (weights, biases, and the statistics of
batch normalisation where they are averaged), as many up as down. Nothing is counted for compression or for headers.

Seconds are a cell's whole run, tests included, divided by its rounds. They are of one machine, and of what else it did.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexifed.analysis import finals, speed, tables
from flexifed.analysis.collect import read_runs
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

LINE = ["dataset", "family", "strategy", "protocol"]
BLOCK = ["dataset", "family", "protocol"]
MEGABYTE = 1e6


def costs(seeds: pd.DataFrame, runs: pd.DataFrame, table1: pd.DataFrame) -> pd.DataFrame:
    """A row for each line of Table 1; a line without a run has no number.

    Args:
        seeds: as `speed.by_seed` gives it.
        runs: `runs.parquet`.
        table1: Table 1 of the study, for its lines and notes.

    Returns:
        Columns `LINE`, n_seeds, accuracy (percent, of the data set's metric, whichever it is: mean over versions and
        seeds, by `speed.FINAL`), then per client
        (means over clients and runs): mb_up, mb_down (per round), their `_low` and `_high` (the versions with the
        fewest and the most), rounds, mb_in_all (up and down); then target (percent, mean over seeds), n_target (seeds
        that have one), not_reached (how many of them stay below it), rounds_to_target (mean over seeds; NaN where any
        stays below), mb_to_target (per client, up and down), seconds_per_round, seconds_to_target (both NaN where the
        block's runs are from several devices), device (of the block's runs, or `missing`) and note (Table 1's).
    """
    found = []
    for _, line in table1.loc[table1["version"] == finals.MEAN, [*LINE, "note"]].iterrows():
        records = _same(runs, line, LINE)
        mean = _same(seeds, line, LINE)
        mean = mean[mean["version"] == finals.MEAN]
        row: dict[str, Any] = {**line, "n_seeds": len(mean), "accuracy": mean["final"].mean()}
        row |= traffic(records["bytes_by_client"]) | {"rounds": records["rounds"].mean()}
        both = row["mb_up"] + row["mb_down"]
        row |= {"mb_in_all": both * row["rounds"]} | _to_target(mean)
        row |= {"mb_to_target": both * row["rounds_to_target"]}
        found.append(row | _seconds(records, _same(runs, line, BLOCK), row["rounds_to_target"]))
    return pd.DataFrame(found)[COLUMNS]


COLUMNS = [
    *LINE, "n_seeds", "accuracy", "mb_up", "mb_up_low", "mb_up_high", "mb_down", "mb_down_low", "mb_down_high",
    "rounds", "mb_in_all", "target", "n_target", "not_reached", "rounds_to_target", "mb_to_target",
    "seconds_per_round", "seconds_to_target", "device", "note",
]  # fmt: skip
"""Columns of `costs`."""


def _same(table: pd.DataFrame, line: pd.Series, columns: list[str]) -> pd.DataFrame:
    return table[(table[columns] == [line[name] for name in columns]).all(axis=1)]


def traffic(records: "pd.Series[str]") -> dict[str, float]:
    """Megabytes per client and round, up and down: mean over clients, and the versions with the fewest and the most.

    Args:
        records: column `bytes_by_client` of `runs.parquet`; NaN comes of no record.
    """
    clients = pd.DataFrame([client for record in records for client in json.loads(record)])
    if clients.empty:
        return {f"mb_{way}{end}": math.nan for way in ("up", "down") for end in ("", "_low", "_high")}
    found = {}
    for way in ("up", "down"):
        versions = clients.groupby("version")[way].mean() / MEGABYTE
        found[f"mb_{way}"] = float(clients[way].mean()) / MEGABYTE
        found |= {f"mb_{way}_low": float(versions.min()), f"mb_{way}_high": float(versions.max())}
    return found


def _to_target(mean: pd.DataFrame) -> dict[str, float]:
    """Of the seeds that have a target; the mean of rounds is over all of them or not there."""
    there = mean[mean["target"].notna()]
    not_reached = int(np.isinf(there["rounds"]).sum())
    return {
        "target": there["target"].mean(),
        "n_target": len(there),
        "not_reached": not_reached,
        "rounds_to_target": math.nan if not_reached else there["rounds"].mean(),
    }


def _seconds(records: pd.DataFrame, block: pd.DataFrame, rounds: float) -> dict[str, object]:
    devices = sorted({device for devices in block["device"] for device in devices.split("; ")})
    per_round = (records["seconds"] / records["rounds"]).mean() if len(devices) == 1 else math.nan
    device = "; ".join(devices) if len(records) else "missing"
    return {"seconds_per_round": per_round, "seconds_to_target": per_round * rounds, "device": device}


def write(
    cells: Path, runs: Path, table1: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> None:
    """Write `costs.csv`.

    Args:
        cells: `cells.parquet`.
        runs: `runs.parquet`.
        table1: `table1.csv`.
        folder: where the table goes.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
    """
    protocols = finals.of_cells(expected, protocols)
    table = costs(speed.by_seed(cells, expected, protocols), read_runs(runs), tables.read(table1))
    with files.complete(folder / "costs.csv") as partial:
        table.to_csv(partial, index=False, float_format="%.6f")
