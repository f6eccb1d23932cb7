"""A block on the first screen: who is highest, all strategies on one scale, and each published ordering."""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd

from flexifed.analysis.statistics import Verdict
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks, number
from flexifed.figures.style import colour_number
from flexifed.report.answer import of_block, ranked
from flexifed.report.parts import Card, Dot, Judged

STEP = 5
"""The ends of a scale are multiples of so many percent."""


def cards(
    table: pd.DataFrame, comparisons: pd.DataFrame, told: Callable[[pd.DataFrame, pd.DataFrame], tuple[str, str]]
) -> Iterator[Card]:
    """A card for each block; those of one data set have the same scale.

    Args:
        table: Table 1.
        comparisons: as `tables.comparisons` gives it, of the whole study.
        told: what a block says, from its lines and its comparisons, see `brief.told`.
    """
    colours = colour_number([str(name) for name in table["strategy"].unique()])
    for key, block in blocks(table):
        pairs, same = of_block(key, comparisons), ranked(table[table["dataset"] == key[0]])
        yield _card(block_title(*key), block, pairs, told(block, pairs), _ends(same), colours)


def _card(
    heading: str,
    block: pd.DataFrame,
    pairs: pd.DataFrame,
    told: tuple[str, str],
    ends: tuple[int, int],
    colours: Mapping[str, int],
) -> Card:
    lines, (low, high) = ranked(block), ends
    if lines.empty:
        return Card(heading, *told)
    dots = []
    for _, line in lines.iterrows():
        places = [_place(line[name], low, high) for name in ("mean", "ci95_low", "ci95_high", "paper")]
        dots.append(Dot(title(line["strategy"]), colours[line["strategy"]], number(line), *places))
    return Card(heading, *told, dots, (f"{low} %", f"{high} %"), [*_orderings(pairs)])


def _ends(lines: pd.DataFrame) -> tuple[int, int]:
    """Least and greatest of what is on the scale, rounded outwards, within 0 and 100; both where nothing is on it."""
    if lines.empty:
        return 0, 100
    values = lines[["mean", "ci95_low", "ci95_high", "paper"]].to_numpy(float)
    low, high = STEP * math.floor(np.nanmin(values) / STEP), STEP * math.ceil(np.nanmax(values) / STEP)
    return max(0, low), min(100, max(high, low + STEP))


def _place(value: float, low: int, high: int) -> float | None:
    """On the scale from 0 to 100; what is beyond an end is at the end."""
    return None if pd.isna(value) else round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)


def _orderings(pairs: pd.DataFrame) -> Iterator[Judged]:
    for _, pair in pairs.iterrows():
        yield Judged(Verdict(pair["verdict"]), f"{title(pair['higher'])} over {title(pair['lower'])}")
