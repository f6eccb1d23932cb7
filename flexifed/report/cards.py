"""A block on the first screen: who is highest, all strategies on one scale, and each published ordering."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from flexifed.analysis.statistics import Verdict
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, number
from flexifed.figures.style import colour_number
from flexifed.report.answer import of_block, ranked
from flexifed.report.parts import Card, Dot, Judged

STEP = 5
"""The ends of a scale are multiples of so many percent."""


def card(key: tuple[str, str, str], block: pd.DataFrame, comparisons: pd.DataFrame, told: tuple[str, str]) -> Card:
    """The card of a block.

    Args:
        key: dataset, family and protocol.
        block: the block's rows of Table 1.
        comparisons: as `tables.comparisons` gives it, of the whole study.
        told: what the block says, as `brief.told` gives it.
    """
    lines = ranked(block)
    if lines.empty:
        return Card(block_title(*key), *told)
    low, high = _ends(lines)
    colours = colour_number([str(name) for name in block["strategy"].unique()])
    dots = []
    for _, line in lines.iterrows():
        places = [_place(line[name], low, high) for name in ("mean", "ci95_low", "ci95_high", "paper")]
        dots.append(Dot(title(line["strategy"]), colours[line["strategy"]], number(line), *places))
    return Card(block_title(*key), *told, dots, (f"{low} %", f"{high} %"), [*_orderings(of_block(key, comparisons))])


def _ends(lines: pd.DataFrame) -> tuple[int, int]:
    """Least and greatest of what is on the scale, rounded outwards, within 0 and 100."""
    values = lines[["mean", "ci95_low", "ci95_high", "paper"]].to_numpy(float)
    low, high = STEP * math.floor(np.nanmin(values) / STEP), STEP * math.ceil(np.nanmax(values) / STEP)
    return max(0, low), min(100, max(high, low + STEP))


def _place(value: float, low: int, high: int) -> float | None:
    """On the scale from 0 to 100; what is beyond an end is at the end."""
    return None if pd.isna(value) else round(100 * min(1.0, max(0.0, (value - low) / (high - low))), 2)


def _orderings(pairs: pd.DataFrame) -> Iterator[Judged]:
    for _, pair in pairs.iterrows():
        yield Judged(Verdict(pair["verdict"]), f"{title(pair['higher'])} over {title(pair['lower'])}")
