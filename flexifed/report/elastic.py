"""Clients with budgets: what depth, width and masks gain and save beside the largest version everywhere."""

from collections.abc import Sequence

import pandas as pd

from flexifed.analysis import elastic, speed
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks
from flexifed.report.parts import Grid, Part, Section, Sources, points

HEADING = "Budgets"


def section(sources: Sources) -> Section:
    """Of a study with budgets: a grid for each block."""
    if not sources.has_budgets:
        return Section(HEADING, [])
    about = (
        "Clients of each tier hold the largest member of the family that they can afford, by what the strategy cuts. "
        f"The base is {title(elastic.BASE)} with the largest version everywhere, which only the last tier could "
        f"afford. Fewer rounds and bytes, and how many times as fast: to {100 * speed.FRACTION:.0f} % of where the "
        "lower of the two curves ends, paired by seed, geometric means with 95 % Student t intervals; above 1 is "
        "better than the base."
    )
    parts: list[Part] = []
    for key, block in blocks(sources.table("elastic")):
        made = grid(block)
        parts.append(Grid(block_title(*key), made.columns, made.rows, made.notes))
    return Section(HEADING, parts, about)


def grid(block: pd.DataFrame) -> Grid:
    """A block of `elastic.csv` as text."""
    columns = ["strategy", "mean over tiers", "less the base", "less data a round"]
    columns += ["fewer rounds", "fewer bytes", "times as fast", "seeds"]
    notes = [f"{title(line['strategy'])}: {line['note']}" for _, line in block.iterrows() if line["note"]]
    return Grid("", columns, [_row(line) for _, line in block.iterrows()], notes)


def _row(line: pd.Series) -> Sequence[str]:
    name = title(line["strategy"])
    if line["n_seeds"] == 0:
        return [name, "missing", *["–"] * 5, "0"]
    half = line["final_ci95_high"] - line["final"]
    final = points(line["final"]) + (f" ± {points(half)}" if line["n_seeds"] > 1 else "")
    less = "–"
    if line["n_pairs"]:
        less = f"{line['less_base']:+.1f}"
        if line["n_pairs"] > 1:
            less += f" ({line['less_base_low']:+.1f} to {line['less_base_high']:+.1f})"
    data = f"{line['less_data_a_round']:.2f}" if line["n_pairs"] else "–"
    return [name, final, less, data, *(_ratio(line, ratio) for ratio in elastic.RATIOS), str(line["n_seeds"])]


def _ratio(line: pd.Series, ratio: str) -> str:
    if line["not_reached"]:
        return "not reached"
    if pd.isna(line[ratio]):
        return "–"
    interval = f" ({line[f'{ratio}_low']:.2f} to {line[f'{ratio}_high']:.2f})" if line["n_pairs"] > 1 else ""
    return f"{line[ratio]:.2f}{interval}"
