"""What clients with budgets gain and save beside clients that all hold the family's largest version.

- A line is compared with FedAvg of the largest version under the same protocol but for `versions` and `budgets`, if the
  study has such a protocol: its base. Budgets are then what differs, and nothing else.
- The curve of a cell is the mean over its tiers, as `speed.py` takes it over versions.
- The target of a seed and pair is `speed.FRACTION` of where the lower of the two curves ends (mean over the last tenth
  of the rounds), so that both can reach it. It is reached by the rule of `speed.reached`. Where one of them learns
  nothing (it ends less than `LEAST` above its first test) such a target says nothing, and there are no ratios.
- How many times fewer rounds or bytes a line needs to it, and how many times as fast it is on the devices of the
  protocol: the base's number over the line's, paired by seed and averaged as logarithms. Above 1 is better than it.
- Less data a round is the base's mean over clients of the bytes of a round, over the line's. It has no spread.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexifed.analysis import finals, seconds, speed, statistics
from flexifed.analysis.collect import CELL, read_runs
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

BASE = "fedavg"
"""The strategy of the base, which takes one version."""
LEAST = 1.0
"""Percentage points."""
LINE = ["dataset", "family", "strategy", "protocol"]
RATIOS = ["fewer_rounds", "fewer_bytes", "times_as_fast"]
COLUMNS = [
    *LINE, "base", "n_seeds", "final", "final_ci95_low", "final_ci95_high", "less_base", "less_base_low",
    "less_base_high", "outcome", "less_data_a_round", "not_reached", "n_pairs",
    *(f"{ratio}{end}" for ratio in RATIOS for end in ("", "_low", "_high")), "note",
]  # fmt: skip
"""Columns of `elastic`; `less_base` is the line's final number less the base's, in points of percent."""


def base_of(protocol: Protocol, family: str, protocols: Mapping[str, Protocol]) -> str | None:
    """The protocol, by name, in which all clients hold the largest version and all else is the same.

    Args:
        protocol: with budgets.
        family: registered name.
        protocols: the study's.
    """
    largest = registry.constant("family", family, "VERSIONS")[-1]
    wanted = replace(protocol, budgets=None, versions=(largest,))
    return next((name for name, one in protocols.items() if one == wanted), None)


def by_seed(cells: Path, runs: Path, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """Every cell that is there: its curve, where it ends, and the bytes of a round.

    Args:
        cells: `cells.parquet`.
        runs: `runs.parquet`.
        expected: the study's cells; others are left out.
        protocols: the study's, by name.

    Returns:
        Columns of the cell, curve (percent by round), clock (simulated seconds by round; None without devices), end
        (percent) and bytes (of a round, up and down, mean over clients).
    """
    found = speed.curves(cells)
    found = found[found["version"] == finals.MEAN]
    clocks = {key: one.set_index("round")["seconds"] for key, one in _clocks(cells).groupby(CELL)}
    sent = {tuple(run[CELL]): _bytes(run["bytes_by_client"]) for _, run in read_runs(runs).iterrows()}
    there, rows = set(expected), []
    for key, one in found.groupby(CELL):
        cell: tuple[Any, ...] = key
        if Cell(*cell) in there:
            curve = one.set_index("round")["value"].sort_index()
            last = curve.index.max() - max(1, round(speed.FINAL.fraction * protocols[cell[3]].rounds))
            row = dict(zip(CELL, cell, strict=True)) | {"curve": curve, "clock": clocks.get(cell)}
            rows.append(row | {"end": curve[curve.index > last].mean(), "bytes": sent.get(cell, math.nan)})
    return pd.DataFrame(rows, columns=[*CELL, "curve", "clock", "end", "bytes"])


def _clocks(cells: Path) -> pd.DataFrame:
    found = seconds.curves(cells)
    return found[found["version"] == finals.MEAN]


def _bytes(by_client: str) -> float:
    return float(np.mean([client["up"] + client["down"] for client in json.loads(by_client)]))


def elastic(seeds: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """A row for each expected line whose protocol has budgets.

    Args:
        seeds: as `by_seed` gives it.
        expected: the study's cells, in study order.
        protocols: the study's, by name.

    Returns:
        `COLUMNS`. base (a protocol; empty where there is none, and then nothing is compared); final (percent, mean over
        tiers and seeds, with its 95 % Student t interval); outcome as in `effects.csv`; not_reached (seeds in which one
        of the two stays below the target), with which there are no ratios; n_pairs (seeds that both have).
    """
    lines = [row for row in finals.rows(expected) if protocols[row.protocol].budgets]
    return pd.DataFrame([_entry(row, seeds, protocols) for row in lines], columns=COLUMNS)


def _entry(row: finals.Row, seeds: pd.DataFrame, protocols: Mapping[str, Protocol]) -> dict[str, Any]:
    ours = finals.of_line(seeds, row)
    base = base_of(protocols[row.protocol], row.family, protocols)
    theirs = finals.of_line(seeds, row._replace(strategy=BASE, protocol=base or ""))
    both = ours.join(theirs.add_suffix("_base"), how="inner")
    end, difference = statistics.summarise(ours["end"]), statistics.summarise(both["end"] - both["end_base"])
    compared = both if all(_learns(pair) for _, pair in both.iterrows()) else both.iloc[:0]
    reached = [_reached(pair, speed.window(protocols[row.protocol])) for _, pair in compared.iterrows()]
    return {
        **dict(zip(LINE, row, strict=False)),
        "base": base or "",
        "n_seeds": len(ours),
        "final": end.mean,
        "final_ci95_low": end.ci95_low,
        "final_ci95_high": end.ci95_high,
        "less_base": difference.mean,
        "less_base_low": difference.ci95_low,
        "less_base_high": difference.ci95_high,
        "outcome": statistics.outcome(difference) if len(both) else "",
        "less_data_a_round": (both["bytes_base"] / both["bytes"]).mean(),
        "not_reached": sum(math.isinf(rounds) for pair in reached for rounds in pair[:2]),
        "n_pairs": len(both),
        **_ratios(compared, reached),
        "note": finals.missing_seeds(row, ours),
    }


def _reached(pair: pd.Series, window: int) -> tuple[float, float]:
    """The rounds in which the line and its base reach the target of their seed."""
    target = speed.FRACTION * min(pair["end"], pair["end_base"])
    return speed.reached(pair["curve"], target, window), speed.reached(pair["curve_base"], target, window)


def _learns(pair: pd.Series) -> bool:
    """Whether the line and its base end above their first test by more than `LEAST`."""
    return all(pair[f"end{which}"] - pair[f"curve{which}"].iloc[0] > LEAST for which in ("", "_base"))


def _ratios(compared: pd.DataFrame, reached: Sequence[tuple[float, float]]) -> dict[str, float]:
    values: dict[str, list[float]] = {ratio: [] for ratio in RATIOS}
    if not any(math.isinf(rounds) for pair in reached for rounds in pair):
        for (_, pair), (ours, theirs) in zip(compared.iterrows(), reached, strict=True):
            values["fewer_rounds"].append(theirs / ours)
            values["fewer_bytes"].append(theirs * pair["bytes_base"] / (ours * pair["bytes"]))
            if pair["clock"] is not None and pair["clock_base"] is not None:
                values["times_as_fast"].append(pair["clock_base"][int(theirs)] / pair["clock"][int(ours)])
    found: dict[str, float] = {}
    for ratio, some in values.items():
        of_logs = statistics.summarise(pd.Series(some, dtype=float).map(math.log))
        for end, value in (("", of_logs.mean), ("_low", of_logs.ci95_low), ("_high", of_logs.ci95_high)):
            found[ratio + end] = math.exp(value)
    return found


def write(
    cells: Path, runs: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> None:
    """Write `elastic.csv`.

    Args:
        cells: `cells.parquet`.
        runs: `runs.parquet`.
        folder: where the table goes.
        expected: the study's cells, in study order.
        protocols: the study's, by name.
    """
    protocols = finals.of_cells(expected, protocols)
    table = elastic(by_seed(cells, runs, expected, protocols), expected, protocols)
    with files.complete(folder / "elastic.csv") as partial:
        table.to_csv(partial, index=False, float_format="%.4f")
