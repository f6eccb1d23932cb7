"""The paper's headline claims from our curves: Max-Common beside Clustered-FL, in accuracy and in rounds.

- `gain`: final number of Max-Common less that of Clustered-FL by the protocol's rule, as in Table 1, paired by seed.
- `speed`: rounds of Clustered-FL over rounds of Max-Common to the same target (`speed.py`). Ratios are averaged as
  logarithms: the mean is geometric, the interval that of the logarithms. Where a curve of any seed does not reach
  the target there is no ratio at all: leaving that seed out would flatter the slower strategy.

The paper's ranges go over data sets, families and versions. Its text says 2.6 to 9.7 points; in its own Table 1 the
versions differ by 2.4 to 9.7. So each version is judged, and the mean over versions, which spreads less, beside it.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from flexifed.analysis import finals, published, speed, statistics, tables, typeset
from flexifed.analysis.statistics import Summary
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

OURS, THEIRS = "max_common", speed.YARDSTICK
"""The two strategies of the claims."""

KEY = ["dataset", "family", "protocol", "version"]
COLUMNS = [
    *KEY, "claim", "n_seeds", "not_reached", "value", "ci95_low", "ci95_high", "verdict", "paper_low", "paper_high",
    "beside_paper", "note",
]  # fmt: skip
"""Columns of `claims`."""


def claims(numbers: pd.DataFrame, seeds: pd.DataFrame, table1: pd.DataFrame) -> pd.DataFrame:
    """A row per block with both strategies, version (and their mean) and claim.

    Args:
        numbers: as `finals.final_numbers` gives it.
        seeds: as `speed.by_seed` gives it.
        table1: Table 1 of the study: it names the expected blocks, and says which lines may be set beside the paper.

    Returns:
        `COLUMNS`. `value` is in percentage points (gain) or times (speed), with its 95 % Student t interval over
        `n_seeds` seeds; `not_reached` counts the seeds in which a curve stays below the target, of which there is no
        value. `verdict` is `statistics.verdict` on a gain above 0 or a speed above 1, or `not reached`. `paper_low` and
        `paper_high` are filled only where Table 1 sets both lines beside the paper, and `beside_paper` says where the
        interval lies, see `position`; else it is `not comparable`, and `note` holds what Table 1 notes on the lines.
    """
    final, rounds = _pairs(numbers, "final"), _pairs(seeds, "rounds")
    found = []
    for key, block in typeset.blocks(table1):
        lines = block[block["strategy"].isin([OURS, THEIRS])]
        if lines["strategy"].nunique() < 2:
            continue
        note = "; ".join(typeset.notes(lines))
        for version, pair in lines.groupby("version", sort=False):
            where = (*key, str(version))
            comparable = bool(pair["paper"].notna().all())
            of_seeds = final.get(where, _NOTHING)
            gain = statistics.summarise(of_seeds[OURS] - of_seeds[THEIRS])
            found.append((*where, "gain", *_judged("gain", gain, 0, comparable), note))
            of_seeds = rounds.get(where, _NOTHING)
            absent = int(np.isinf(of_seeds).any(axis=1).sum())
            every = _NOTHING if absent else of_seeds
            ratio = statistics.summarise((every[THEIRS] / every[OURS]).map(math.log))
            found.append((*where, "speed", *_judged("speed", ratio, absent, comparable), note))
    return pd.DataFrame(found, columns=COLUMNS)


_NOTHING = pd.DataFrame(columns=[OURS, THEIRS], dtype=float)


def _pairs(table: pd.DataFrame, column: str) -> dict[tuple[str, ...], pd.DataFrame]:
    """For each of `KEY` a frame with a row per seed that both strategies have, and a column for each of them."""
    two = table[table["strategy"].isin([OURS, THEIRS])]
    words = two.astype(dict.fromkeys([*KEY, "strategy"], str))
    wide = words.pivot(index=[*KEY, "seed"], columns="strategy", values=column).reindex(columns=[OURS, THEIRS])
    return {tuple(map(str, key)): frame for key, frame in wide.dropna().groupby(level=KEY)}


def _judged(claim: str, summary: Summary, not_reached: int, comparable: bool) -> tuple[object, ...]:
    """The columns of a claim from n_seeds to beside_paper."""
    low, high = paper_range(claim)
    unit = math.exp if claim == "speed" else float
    values = [unit(value) for value in (summary.mean, summary.ci95_low, summary.ci95_high)]
    verdict = "not reached" if not_reached else statistics.verdict(summary)
    if not comparable:
        low = high = math.nan
        place = "not comparable" if summary.n_seeds or not_reached else "missing"
    elif not_reached:
        place = "not reached"
    else:
        place = position(summary, *(map(math.log, (low, high)) if claim == "speed" else (low, high)))
    return (summary.n_seeds, not_reached, *values, verdict, low, high, place)


def paper_range(claim: str) -> tuple[float, float]:
    """The paper's range: percentage points (`gain`) or times (`speed`)."""
    table = published.claims()
    table = table[(table["higher"] == OURS) & (table["lower"] == THEIRS)]
    about = {"gain": published.GAIN, "speed": published.SPEED}[claim]
    ((low, high),) = table.loc[table["about"] == about, ["low", "high"]].to_numpy(float)
    return float(low), float(high)


def position(summary: Summary, low: float, high: float) -> str:
    """Where the interval lies: `in` the range, `above` or `below` it; `not resolved` where it holds an end of the range
    or has no width; `one seed` and `missing`, which have no interval."""
    verdict = statistics.verdict(summary)
    if summary.n_seeds < 2 or statistics.has_no_spread(summary):
        return verdict
    if low <= summary.ci95_low and summary.ci95_high <= high:
        return "in"
    if summary.ci95_low > high:
        return "above"
    return "below" if summary.ci95_high < low else "not resolved"


def write(
    cells: Path, table1: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> None:
    """Write `headline.csv`.

    Args:
        cells: `cells.parquet`.
        table1: `table1.csv`.
        folder: where the table goes.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
    """
    protocols = finals.of_cells(expected, protocols)
    numbers = finals.final_numbers(cells, protocols)
    table = claims(numbers, speed.by_seed(cells, expected, protocols), tables.read(table1))
    with files.complete(folder / "headline.csv") as partial:
        table.to_csv(partial, index=False, float_format="%.4f")
