"""The opening of the page: what was run, and the main answer of each block in one line."""

from collections.abc import Iterator, Sequence

import pandas as pd

from flexifed.analysis import effects, effects_text
from flexifed.analysis.statistics import ROUNDING_ERROR, Verdict
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks, by_family, number, seeds_text
from flexifed.report.answer import of_block, ranked
from flexifed.report.cards import cards
from flexifed.report.parts import Part, Points, Section, Sources, Words

HEADING = "In short"
MANY = 8
"""Blocks whose lines are shown; more are folded."""
TELLING = 4
"""Claims on effects that are shown here; the section on effects holds all."""

COUNTED = {
    Verdict.HOLDS: ("holds", "hold"),
    Verdict.CONTRADICTED: ("is contradicted", "are contradicted"),
    Verdict.NOT_RESOLVED: ("is not resolved", "are not resolved"),
    Verdict.ONE_SEED: ("rests on one seed", "rest on one seed"),
    Verdict.MISSING: ("is missing", "are missing"),
}
"""A verdict of `statistics.verdict` as the predicate of one comparison and of several."""


def section(sources: Sources) -> Section:
    """What was run, the claims that the study was made for, and a line per block."""
    comparisons = sources.table("comparisons")
    lines = [line(key, block, comparisons) for key, block in blocks(sources.table1)]
    parts: list[Part] = [Words(what(sources)), *_effects(sources), *_claims(sources)]
    if len(lines) <= MANY:
        return Section(HEADING, [*parts[1:], *cards(sources.table1, comparisons, told), parts[0]])
    if len(comparisons):
        where = f"in {len(lines)} blocks, {len(comparisons)} in all"
        parts.append(Words(f"Of the published orderings {where}, {counted(comparisons)}."))
    return Section(HEADING, [*parts, Points(lines, summary=f"A line for each of the {len(lines)} blocks")])


def what(sources: Sources) -> str:
    """How much of the study there is, and what it took."""
    cells, runs = sources.expected, sources.runs
    n_blocks = len({(cell.dataset, cell.family, cell.protocol) for cell in cells})
    grid = [
        f"{_several(n_blocks, 'block')} (data set, family and protocol)",
        _several(len({cell.strategy for cell in cells}), "strategy"),
    ]
    grid += [_several(len({cell.seed for cell in cells}), "seed")]
    absent = len(sources.missing())
    finished = f"all {len(cells)} runs are finished"
    if absent:
        finished = f"{len(cells) - absent} of {len(cells)} runs are finished"
    devices = "; ".join(sorted({device for joined in runs["device"] for device in joined.split("; ")}))
    took = f", {_duration(runs['seconds'].sum())} of training on {devices}" if len(runs) else ""
    return f"{', '.join(grid[:-1])} and {grid[-1]}: {finished}{took}."


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _several(number: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def _effects(sources: Sources) -> Sequence[Points]:
    if not sources.has_effects:
        return []
    table = effects.read(sources.tables_folder / "effects.csv")
    return [Points(effects_text.claims(block)[:TELLING], heading) for heading, block in by_family(table)]


def _claims(sources: Sources) -> Iterator[Words]:
    """How many comparisons bear out the claims of the paper's Table 3, and of a study along a quantity."""
    averaged = sources.table("table3_differences")
    if len(averaged):
        claim = "averaging the classifier across versions costs accuracy (Table 3)"
        yield Words(f"The paper's claim that {claim}: of {_several(len(averaged), 'comparison')}, {counted(averaged)}.")
    gains = sources.table("sweep_gains") if sources.has_sweep else pd.DataFrame()
    if len(gains):
        over = sources.table("sweep")["over"].iloc[0]
        yield Words(
            f"The claim that accuracy rises with the {over}: of {_several(len(gains), 'comparison')}, {counted(gains)}."
        )


def line(key: tuple[str, str, str], block: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """`CIFAR-10, VGG, protocol official: Max-Common is highest, 84.9 ± 0.4 (3 seeds). Of 5 published orderings ...`

    Args:
        key: dataset, family and protocol.
        block: the block's rows of Table 1.
        comparisons: as `tables.comparisons` gives it, of the whole study.
    """
    return " ".join(filter(None, [f"{block_title(*key)}:", *told(block, of_block(key, comparisons))]))


def told(block: pd.DataFrame, pairs: pd.DataFrame) -> tuple[str, str]:
    """Which strategy of a block is highest, and what became of the published orderings.

    Args:
        block: the block's rows of Table 1.
        pairs: its comparisons.
    """
    lines = ranked(block)
    if lines.empty:
        return "missing, no cell is there.", ""
    best = lines.iloc[0]
    highest = lines[lines["mean"] > best["mean"] - ROUNDING_ERROR]
    names = " and ".join(map(title, highest["strategy"]))
    is_highest = "is alone" if len(lines) == 1 else "is highest" if len(highest) == 1 else "are highest"
    lead = f"{names} {is_highest}, {number(best)} % ({seeds_text(highest)})."
    return lead, "" if pairs.empty else f"Of {_several(len(pairs), 'published ordering')}, {counted(pairs)}."


def counted(pairs: pd.DataFrame) -> str:
    """`2 hold, 1 is contradicted and 2 are not resolved`, of at least one comparison."""
    counts = pairs["verdict"].value_counts()
    told = [f"{counts[v]} {one if counts[v] == 1 else several}" for v, (one, several) in COUNTED.items() if v in counts]
    return " and ".join(filter(None, [", ".join(told[:-1]), told[-1]]))
