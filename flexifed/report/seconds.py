"""What each strategy takes on the clients' devices, in simulated time: who is faster, the numbers, the curves."""

from collections.abc import Sequence

import pandas as pd

from flexifed.analysis import seconds, speed
from flexifed.analysis.statistics import Verdict
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks
from flexifed.report import pictures
from flexifed.report.costs import amount
from flexifed.report.parts import Grid, Part, Points, Section, Sources, points

OPENINGS: dict[str, str] = {
    Verdict.HOLDS: "Faster, with the 95 % interval above 1",
    Verdict.CONTRADICTED: "Slower, with the interval below 1",
    Verdict.NOT_RESOLVED: "Not resolved, the interval holds 1 or has no width",
    Verdict.ONE_SEED: "Not resolved, one seed cannot be distinguished from chance",
    "not reached": "No ratio, because a curve of at least one seed stays below the target",
}
"""How each verdict on being faster is introduced."""


def section(sources: Sources) -> Section:
    """Of a study with devices: claims and a grid per block, then the figures."""
    heading = pictures.HEADINGS["convergence_seconds"]
    if not sources.has_clock:
        return Section(heading, [])
    base = title(seconds.BASE)
    about = (
        "A virtual clock counts the seconds that a round would take on the devices that the clients were given; they "
        f"are the same on every machine. The target of a block and seed is {100 * speed.FRACTION:.0f} % of where the "
        "strategy that ends lowest in it ends (mean of its curve over the last "
        f"{100 * speed.FINAL.fraction:.0f} % of the rounds), so that all can reach it; a strategy is there in the "
        f"first test at which its running mean over {100 * speed.WINDOW:.0f} % of the rounds is. How many times as "
        f"fast as {base}: paired by seed, geometric mean, 95 % Student t interval of the logarithms, not adjusted for "
        "the number of comparisons. Dropped: of all invited turns, those that were too late or lost."
    )
    parts: list[Part] = []
    for key, block in blocks(sources.table("seconds")):
        parts += [Points(claims(block), block_title(*key)), grid(block)]
    return Section(heading, [*parts, *pictures.of_kind(sources, "convergence_seconds")], about)


def claims(block: pd.DataFrame) -> list[str]:
    """Who is faster than the base, as far as the seeds tell.

    Args:
        block: rows of `seconds.csv` of one block.
    """
    found = []
    for verdict, opening in OPENINGS.items():
        told = [_said(line) for _, line in block[block["verdict"] == verdict].iterrows()]
        found += [f"{opening}: {'; '.join(told)}."] if told else []
    return found or [f"Nothing to compare: no other strategy has a seed in common with {title(seconds.BASE)}."]


def _said(line: pd.Series) -> str:
    """`Oort, 1.8 times as fast (1.2 to 2.7)`."""
    times = _times(line)
    return title(line["strategy"]) if times == "–" else f"{title(line['strategy'])}, {times}"


def _times(line: pd.Series) -> str:
    if not line["n_pairs"]:
        return "–"
    interval = f" ({line['times_ci95_low']:.2f} to {line['times_ci95_high']:.2f})" if line["n_pairs"] > 1 else ""
    return f"{line['times_as_fast']:.2f} times as fast{interval}"


def grid(block: pd.DataFrame) -> Grid:
    """A block of `seconds.csv` as text."""
    columns = ["strategy", "seconds to target", f"beside {title(seconds.BASE)}", "seconds in all", "dropped", "seeds"]
    target = block["target"].mean()
    notes = [f"Target: {points(target)} % (mean over strategies and seeds)"] if pd.notna(target) else []
    notes += [f"{title(line['strategy'])}: {line['note']}" for _, line in block.iterrows() if line["note"]]
    return Grid("", columns, [_row(line) for _, line in block.iterrows()], notes)


def _row(line: pd.Series) -> Sequence[str]:
    if line["n_seeds"] == 0:
        return [title(line["strategy"]), "missing", "–", "–", "–", "0"]
    share = "–" if pd.isna(line["dropped"]) else f"{100 * line['dropped']:.1f} %"
    in_all, n_seeds = amount(line["seconds_in_all"]), str(line["n_seeds"])
    return [title(line["strategy"]), _to_target(line), _times(line), in_all, share, n_seeds]


def _to_target(line: pd.Series) -> str:
    if line["not_reached"]:
        return f"not reached in {line['not_reached']} of {line['n_seeds']}"
    half = line["to_target_ci95_high"] - line["seconds_to_target"]
    return amount(line["seconds_to_target"]) + (f" ± {amount(half)}" if line["n_seeds"] > 1 else "")
