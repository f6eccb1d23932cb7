"""When a curve reaches a target, by a rule of our own: the paper states none for its speeds.

- The curve of a cell and version is the data set's metric after aggregation, tested in eval(), mean over the version's
  clients; `mean` is the mean over the versions' curves.
- The target of a seed and version is `FRACTION` of Clustered-FL's final number of the same block, seed and version. It
  is below 1 so that it lies where curves still rise: on a plateau, noise would choose the round.
- The final number here is the mean over the last tenth of the rounds (`FINAL`), whatever rule the protocol has for its
  tables, so that target and curve are of one moment and mode.
- A curve reaches the target in the first evaluated round in which its running mean does. The mean is over the rounds
  tested among the last `WINDOW` of the protocol's rounds, so that one lucky test of 502 is not enough; in a study of
  less than 75 rounds that is one round.

Rounds are known as finely as the protocol tests (`evaluate_every`). A Clustered-FL that learns nothing has a target
that it meets at its first test; the rounds then say nothing of speed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexifed.analysis import finals, metrics, statistics
from flexifed.analysis.collect import CELL
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber, Protocol

FRACTION = 0.95
"""Of Clustered-FL's final number: the target."""
WINDOW = 0.02
"""Of the protocol's rounds: what the running mean is over, at least one round (10 of the authors' 502)."""
FINAL = FinalNumber()
"""After aggregation, in eval(), all clients, mean over the last tenth of the rounds."""
YARDSTICK = "clustered_fl"
"""The strategy that sets the target."""


def curves(cells: Path) -> pd.DataFrame:
    """Curves of every cell, version and their mean.

    Args:
        cells: `cells.parquet`.

    Returns:
        Columns of the cell, version (`mean` too), round and value (the data set's metric after aggregation in eval(),
        percent).
    """
    clients = _in_words(metrics.curves(cells, phase=FINAL.phase, mode=FINAL.mode))
    by_version = clients.groupby([*CELL, "version", "round"], sort=False)["value"].mean().reset_index()
    means = by_version.groupby([*CELL, "round"], sort=False)["value"].mean().reset_index().assign(version=finals.MEAN)
    table = pd.concat([by_version, means], ignore_index=True)
    return table.assign(value=100 * table["value"])


def _in_words(table: pd.DataFrame) -> pd.DataFrame:
    """Names as strings: categories of one cell's histories are not those of another's."""
    return table.astype(dict.fromkeys(["dataset", "family", "strategy", "protocol", "version"], str))


def reached(curve: "pd.Series[float]", target: float, window: int) -> float:
    """The first round in which the running mean is at least the target; infinite if there is none.

    Args:
        curve: percent, indexed by evaluated round, ascending.
        target: percent.
        window: rounds, evaluated or not, that the running mean goes back over.
    """
    rounds, sums = curve.index.to_numpy(), np.concatenate([[0.0], np.cumsum(curve.to_numpy())])
    first = np.searchsorted(rounds, rounds - window, side="right")
    last = np.arange(1, len(rounds) + 1)
    there = (sums[last] - sums[first]) / (last - first) >= target - statistics.ROUNDING_ERROR
    return float(rounds[there.argmax()]) if there.any() else math.inf


def window(protocol: Protocol) -> int:
    """Rounds that the running mean of `reached` goes back over."""
    return max(1, round(WINDOW * protocol.rounds))


def by_seed(cells: Path, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """When every cell that is there reaches its target.

    Args:
        cells: `cells.parquet`.
        expected: the study's cells; others are left out.
        protocols: the study's protocols by name.

    Returns:
        Columns of the cell, version (`mean` too), final (percent, by `FINAL`), target (percent; NaN where the
        seed's cell of Clustered-FL is not there) and rounds (NaN where there is no target, infinite where it is not
        reached).
    """
    numbers = _in_words(
        finals.final_numbers(cells, {name: replace(one, final=FINAL) for name, one in protocols.items()})
    )
    there = set(expected)
    wanted = [Cell(*cell) in there for cell in numbers[CELL].itertuples(index=False, name=None)]
    numbers = numbers[np.array(wanted, dtype=bool)]
    block = ["dataset", "family", "protocol", "seed", "version"]
    yardstick = numbers[numbers["strategy"] == YARDSTICK].set_index(block)["final"].rename("target")
    table = numbers.merge(FRACTION * yardstick, how="left", on=block)
    of = {key: curve.set_index("round")["value"] for key, curve in curves(cells).groupby([*CELL, "version"])}

    def rounds(*cell_and_version: Any, target: float) -> float:
        if math.isnan(target):
            return math.nan
        return reached(of[cell_and_version].sort_index(), target, window(protocols[cell_and_version[3]]))

    places = table[[*CELL, "version"]].itertuples(index=False, name=None)
    found = [rounds(*place, target=target) for place, target in zip(places, table["target"], strict=True)]
    return table[[*CELL, "version", "final", "target"]].assign(rounds=np.array(found, dtype=float))
