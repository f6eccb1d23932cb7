"""The answer: the order of a block's strategies, and which of the published orderings the seeds resolve."""

import pandas as pd

from flexifed.analysis import published
from flexifed.analysis.finals import MEAN
from flexifed.analysis.statistics import Verdict
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks, notes, number, seeds_text
from flexifed.report.parts import SYMBOLS, Entry, Grid, Judged, Points, Remark, Section, Sources

BLOCK = ["dataset", "family", "protocol"]

OPENINGS = {
    Verdict.HOLDS: "Ordered as published, with the 95 % interval of the difference above zero:",
    Verdict.CONTRADICTED: "Ordered against what is published, with the interval below zero:",
    Verdict.NOT_RESOLVED: "Not resolved, the interval holds zero or has no width:",
    Verdict.ONE_SEED: "Not resolved, one seed cannot be distinguished from chance:",
    Verdict.MISSING: "Missing:",
}
"""How each verdict of `statistics.verdict` is introduced."""


def section(sources: Sources) -> Section:
    """The verdicts at a glance, then a list per block."""
    comparisons = sources.table("comparisons")
    told = [Points(sentences(key, block, comparisons), block_title(*key)) for key, block in blocks(sources.table1)]
    how = Remark(
        "Orderings are judged by the differences within a seed (same partition, same initial weights) and their 95 % "
        "Student t interval over seeds; they are not adjusted for the number of comparisons. " + sources.rules()
    )
    glance = [] if comparisons.empty else [verdicts(comparisons)]
    return Section("The answer by protocol" if sources.has_effects else "The answer", [*glance, *told, how])


def of_block(key: tuple[str, str, str], comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of a block, in their order."""
    return comparisons[(comparisons[BLOCK] == list(key)).all(axis=1)]


def verdicts(comparisons: pd.DataFrame) -> Grid:
    """A row per block, a column per published ordering.

    Args:
        comparisons: as `tables.comparisons` gives it, of the whole study, at least one.
    """
    there = set(zip(comparisons["higher"], comparisons["lower"], strict=True))
    claims = [claim for claim in published.orderings() if claim in there]
    rows: list[list[Entry]] = []
    for key, pairs in comparisons.groupby(BLOCK, sort=False):
        of = {
            (pair["higher"], pair["lower"]): Judged(Verdict(pair["verdict"]), _gain(pair))
            for _, pair in pairs.iterrows()
        }
        rows.append([block_title(*map(str, key)), *(of.get(claim, "not compared") for claim in claims)])
    columns = ["block", *(f"{title(higher)} over {title(lower)}" for higher, lower in claims)]
    words = [
        "holds: the interval of the difference is above zero",
        "contradicted: below zero",
        "not resolved: it holds zero, or has no width",
        "one seed: no interval",
        "missing: no pair of runs",
    ]
    legend = "; ".join(f"{symbol} {text}" for symbol, text in zip(SYMBOLS.values(), words, strict=True))
    note = f"{legend}. Numbers are differences in percentage points with their 95 % interval"
    return Grid("Published orderings", columns, rows, [note], words=len(columns))


def sentences(key: tuple[str, str, str], block: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """What a block says.

    Args:
        key: dataset, family and protocol.
        block: the block's rows of Table 1.
        comparisons: as `tables.comparisons` gives it, of the whole study.
    """
    lines = ranked(block)
    if lines.empty:
        return ["Missing: no cell of this block is there."]
    order = ", ".join(f"{title(line['strategy'])} {number(line)}" for _, line in lines.iterrows())
    found = [f"Accuracy in percent, mean over versions ({seeds_text(block)}): {order}."]
    pairs = of_block(key, comparisons)
    for outcome, opening in OPENINGS.items():
        told = [_comparison(pair) for _, pair in pairs[pairs["verdict"] == outcome].iterrows()]
        found += [f"{opening} {'; '.join(told)}."] if told else []
    remarks = notes(block)
    found += [f"Note: {'; '.join(remarks)}."] if remarks else []
    return found


def ranked(block: pd.DataFrame) -> pd.DataFrame:
    """The means over versions that are there, highest first."""
    return block[(block["version"] == MEAN) & (block["n_seeds"] > 0)].sort_values(
        "mean", ascending=False, kind="stable"
    )


def _comparison(pair: pd.Series) -> str:
    """`Max-Common over Clustered-Common +2.5 (1.1 to 3.9)`."""
    return f"{title(pair['higher'])} over {title(pair['lower'])} {_gain(pair)}".rstrip()


def _gain(pair: pd.Series) -> str:
    """`+2.5 (1.1 to 3.9)`; `+2.5` of one seed; nothing of none."""
    if pair["n_seeds"] == 0:
        return ""
    interval = f" ({pair['ci95_low']:z.1f} to {pair['ci95_high']:z.1f})" if pair["n_seeds"] > 1 else ""
    return f"{pair['difference']:+z.1f}{interval}"
