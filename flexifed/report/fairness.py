"""How evenly each strategy serves the clients: what it changes, then the numbers."""

from collections.abc import Sequence

import pandas as pd

from flexifed.analysis import fairness, metrics
from flexifed.analysis.effects_text import MARKS
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks
from flexifed.report.parts import Grid, Part, Points, Section, Sources, points

OPENINGS = {
    "variance": {"lowers": "More even than", "raises": "Less even than"},
    "worst_tenth": {"raises": "Better for the worst tenth than", "lowers": "Worse for the worst tenth than"},
}
"""How a difference that the seeds resolve is introduced."""


def section(sources: Sources) -> Section:
    """Of a study that tests every client on its own samples: claims and a grid per block."""
    heading = "Fairness"
    if not sources.has_fairness:
        return Section(heading, [])
    table = sources.table("fairness")
    base = title(fairness.BASE)
    about = (
        f"How evenly {sources.metric} is spread over the clients, each tested on its own samples after aggregation. "
        "Mean, standard deviation and variance (in percentage points squared) are over all clients; the worst and the "
        "best tenth are means over so many clients, at least one. Each is taken within a seed, then a mean over seeds "
        f"± half-width of the 95 % Student t interval. Differences to {base} are paired by seed; ▲ and ▼: the interval "
        "leaves zero out. The intervals are not adjusted for their number. A strategy that learns more slowly differs "
        "in all of this for that reason, too; the mean says by how much it is behind."
    )
    parts: list[Part] = []
    for key, block in blocks(table):
        parts += [Points(claims(block), block_title(*key)), grid(block)]
    return Section(heading, parts, about)


def claims(block: pd.DataFrame) -> list[str]:
    """What a block's seeds resolve, first the variance.

    Args:
        block: rows of `fairness.csv` of one block.
    """
    found = []
    for measure, openings in OPENINGS.items():
        for outcome, opening in openings.items():
            lines = block[block[f"{measure}_outcome"] == outcome]
            told = [f"{title(line['strategy'])}, {_difference(line, measure)}" for _, line in lines.iterrows()]
            found += [f"{opening} {title(fairness.BASE)}: {'; '.join(told)}."] if told else []
    return found or [_nothing(block)]


def _nothing(block: pd.DataFrame) -> str:
    compared = block["n_pairs"] > 0
    if not compared.any():
        return f"Nothing to compare: no other strategy has a seed in common with {title(fairness.BASE)}."
    return f"No strategy is told from {title(fairness.BASE)}, neither by variance nor by the worst tenth."


def _difference(line: pd.Series, measure: str) -> str:
    """`variance -31.2 (-50.1 to -12.3)`."""
    low, high = (points(line[f"{measure}_less_base_{end}"], signed=True) for end in ("low", "high"))
    name = {"variance": "variance", "worst_tenth": "points"}[measure]
    return f"{name} {points(line[f'{measure}_less_base'], signed=True)} ({low} to {high})"


def grid(block: pd.DataFrame) -> Grid:
    """A block of `fairness.csv` as text."""
    quantity, base = metrics.title(block["dataset"].iloc[0]), title(fairness.BASE)
    columns = ["strategy", f"mean {quantity}", "worst tenth", "best tenth", "standard deviation", "variance"]
    columns += [f"variance less {base}'s", f"worst tenth less {base}'s", "seeds"]
    return Grid("", columns, [_row(line) for _, line in block.iterrows()], _notes(block))


def _row(line: pd.Series) -> Sequence[str]:
    if line["n_seeds"] == 0:
        return [title(line["strategy"]), "missing", *["–"] * 6, "0"]
    measures = [_number(line, name) for name in ("mean", "worst_tenth", "best_tenth", "std", "variance")]
    changes = [_change(line, measure) for measure in fairness.JUDGED]
    return [title(line["strategy"]), *measures, *changes, str(line["n_seeds"])]


def _number(line: pd.Series, measure: str) -> str:
    half = line[f"{measure}_ci95_high"] - line[measure]
    return points(line[measure]) + (f" ± {points(half)}" if line["n_seeds"] > 1 else "")


def _change(line: pd.Series, measure: str) -> str:
    """`▼ -31.2 ± 18.9`; a dash where nothing is compared."""
    if not line["n_pairs"]:
        return "–"
    value = line[f"{measure}_less_base"]
    half = f" ± {points(line[f'{measure}_less_base_high'] - value)}" if line["n_pairs"] > 1 else ""
    return f"{MARKS.get(line[f'{measure}_outcome'], '')}{points(value, signed=True)}{half}"


def _notes(block: pd.DataFrame) -> list[str]:
    sizes = " to ".join(f"{n:g}" for n in sorted({block["clients"].min(), block["clients"].max()}) if n > 0)
    notes = [f"{sizes} clients"] if sizes else []
    return notes + [f"{title(line['strategy'])}: {line['note']}" for _, line in block.iterrows() if line["note"]]
