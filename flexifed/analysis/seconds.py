"""What a line takes in simulated seconds, where the protocol has devices: to a target, and in all.

- A cell's curve is the mean over the versions of the data set's metric after aggregation, as in `speed.py`, against the
  clock at the end of the round; it is known as finely as the protocol tests.
- The target of a seed is `speed.FRACTION` of where the strategy that ends lowest in that block and seed ends: of the
  mean of its curve over the last tenth of the rounds. So everyone can reach it. (Clustered-FL, which sets the target in
  `speed.py`, is hardly ever among strategies for cohorts.) A strategy that learns nothing sets a target that is met at
  the first test; the seconds then say nothing of speed.
- A curve reaches it by the rule of `speed.reached`: in the first round in which its running mean does.
- How many times as fast a strategy is as `BASE`, whose selection is uniform, is the base's seconds over its own, paired
  by seed and averaged as logarithms: the mean is geometric, the interval that of the logarithms.
- Dropped is the share of invited turns, in the rounds that are tested, that were too late or lost.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexifed.analysis import finals, speed, statistics
from flexifed.analysis.collect import CELL, read_curves
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

BASE = "fedavg"
"""The strategy that others are compared with."""

LINE = ["dataset", "family", "strategy", "protocol"]
BLOCK = ["dataset", "family", "protocol"]
COLUMNS = [
    *LINE, "n_seeds", "target", "not_reached", "seconds_to_target", "to_target_ci95_low", "to_target_ci95_high",
    "n_pairs", "times_as_fast", "times_ci95_low", "times_ci95_high", "verdict", "seconds_in_all", "dropped", "note",
]  # fmt: skip
"""Columns of `seconds`."""


def curves(cells: Path) -> pd.DataFrame:
    """The metric of every cell and version against the clock.

    Args:
        cells: `cells.parquet`.

    Returns:
        Columns of the cell, version (`mean` too), round, value (percent, after aggregation, in eval()) and seconds
        (simulated, since the start); no row of a cell without devices.
    """
    clock = _clock(cells, "seconds").rename(columns={"value": "seconds"})
    return speed.curves(cells).merge(clock, on=[*CELL, "round"])


def _clock(cells: Path, metric: str) -> pd.DataFrame:
    """Columns of the cell, round and value."""
    found = read_curves(cells, phase="clock", metric=metric)
    return found.astype(dict.fromkeys(LINE, str))[[*CELL, "round", "value"]]


def dropped(cells: Path) -> "pd.Series[float]":
    """The share of invited turns that were not kept, by cell; NaN where nobody was ever invited."""
    trained = read_curves(cells, phase="local", metric="train_loss").astype(dict.fromkeys(LINE, str))
    lost = _clock(cells, "dropped").groupby(CELL)["value"].sum()
    kept = trained.groupby(CELL).size().reindex(lost.index, fill_value=0)
    return lost / (lost + kept)


def by_seed(cells: Path, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """When every cell that is there and has devices reaches its target.

    Args:
        cells: `cells.parquet`.
        expected: the study's cells; others are left out.
        protocols: the study's protocols by name.

    Returns:
        Columns of the cell, target (percent), to_target (simulated seconds; infinite where it is not reached), in_all
        (simulated seconds of the whole run) and dropped (a share, 0 .. 1).
    """
    found = curves(cells)
    found = found[found["version"] == finals.MEAN]
    shares, there, table = dropped(cells), set(expected), []
    for key, curve in found.groupby(CELL):
        cell: tuple[Any, ...] = key
        if Cell(*cell) in there:
            row = _of_cell(cell, curve.sort_values("round"), protocols[cell[3]])
            table.append(row | {"dropped": shares.get(cell, math.nan)})
    seeds = pd.DataFrame(table, columns=[*CELL, "end", "curve", "window", "in_all", "dropped"])
    seeds["target"] = speed.FRACTION * seeds.groupby([*BLOCK, "seed"])["end"].transform("min")
    seeds["to_target"] = [_reached(*cell) for cell in seeds[["curve", "target", "window"]].itertuples(index=False)]
    return seeds[[*CELL, "target", "to_target", "in_all", "dropped"]]


def _of_cell(cell: Sequence[Any], curve: pd.DataFrame, protocol: Protocol) -> dict[str, Any]:
    last = curve["round"].max() - max(1, round(speed.FINAL.fraction * protocol.rounds))
    return {
        **dict(zip(CELL, cell, strict=True)),
        "end": curve.loc[curve["round"] > last, "value"].mean(),
        "curve": curve.set_index("round"),
        "window": speed.window(protocol),
        "in_all": curve["seconds"].iloc[-1],
    }


def _reached(curve: pd.DataFrame, target: float, window: int) -> float:
    arrival = speed.reached(curve["value"], target, window)
    return math.inf if math.isinf(arrival) else float(curve["seconds"][int(arrival)])


def seconds(seeds: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """A row for each expected line whose protocol has devices.

    Args:
        seeds: as `by_seed` gives it.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.

    Returns:
        `COLUMNS`. target (percent, mean over seeds); not_reached (seeds that stay below it); seconds_to_target with its
        95 % Student t interval over seeds, absent where any stays below; times_as_fast over the `n_pairs` seeds that
        `BASE` has, too, with its interval, absent likewise and for `BASE` itself; verdict (`statistics.verdict` on the
        claim that it is faster; `not reached`; empty where nothing is compared); seconds_in_all and dropped (0 .. 1),
        means over seeds. A line without a run has no number; `note` names missing seeds.
    """
    lines = [row for row in finals.rows(expected) if protocols[row.protocol].devices]
    return pd.DataFrame([_entry(row, seeds) for row in lines], columns=COLUMNS)


def _entry(row: finals.Row, seeds: pd.DataFrame) -> dict[str, Any]:
    ours = finals.of_line(seeds, row)
    not_reached = int(np.isinf(ours["to_target"]).sum())
    mean = statistics.summarise(ours["to_target"].iloc[: 0 if not_reached else None])
    base = finals.of_line(seeds, row._replace(strategy=BASE))
    return {
        **dict(zip(LINE, row, strict=False)),
        "n_seeds": len(ours),
        "target": ours["target"].mean(),
        "not_reached": not_reached,
        "seconds_to_target": mean.mean,
        "to_target_ci95_low": mean.ci95_low,
        "to_target_ci95_high": mean.ci95_high,
        **_times(ours, base, row.strategy),
        "seconds_in_all": ours["in_all"].mean(),
        "dropped": ours["dropped"].mean(),
        "note": finals.missing_seeds(row, ours),
    }


def _times(ours: pd.DataFrame, base: pd.DataFrame, strategy: str) -> dict[str, Any]:
    """How many times as fast as the base, and the verdict on it."""
    both = pd.concat([base["to_target"], ours["to_target"]], axis=1, join="inner", keys=["base", "ours"])
    pairs = both.iloc[:0] if strategy == BASE or np.isinf(both).any(axis=None) else both
    ratio = statistics.summarise((pairs["base"] / pairs["ours"]).map(math.log))
    ends = {"times_as_fast": ratio.mean, "times_ci95_low": ratio.ci95_low, "times_ci95_high": ratio.ci95_high}
    judged: str = statistics.verdict(ratio) if len(pairs) else ""
    verdict = "not reached" if strategy != BASE and len(both) > len(pairs) else judged
    return {"n_pairs": len(pairs), **{name: math.exp(end) for name, end in ends.items()}, "verdict": verdict}


def write(cells: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> None:
    """Write `seconds.csv`.

    Args:
        cells: `cells.parquet`.
        folder: where the table goes.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
    """
    protocols = finals.of_cells(expected, protocols)
    table = seconds(by_seed(cells, expected, protocols), expected, protocols)
    with files.complete(folder / "seconds.csv") as partial:
        table.to_csv(partial, index=False, float_format="%.4f")
