"""The board in words: what its tables hold, for Markdown and for the page alike."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from flexifed.analysis import published
from flexifed.analysis.statistics import Verdict
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title
from flexifed.board.claims import Claim, Evidence
from flexifed.board.folders import Line
from flexifed.board.numbers import ABOVE, BELOW, MISSED, OPEN, REPRODUCED, UNDECIDED, Number, counts
from flexifed.report.parts import points

COUNTED = (REPRODUCED, MISSED, UNDECIDED, OPEN)
"""What is counted, best first."""

LEGEND = (
    "*Reproduced*: one run as published could be one of ours, or lies in our interval. *Missed*: it lies outside. "
    "*Undecided*: run, but with too few seeds, without arriving, or narrower or shorter than the source, so the "
    "difference says more of that than of the method. *Open*: nothing of ours stands beside it. Ours is the mean over "
    "seeds. The interval is the one that decides: of a single setting where one more seed would fall in 95 of 100 "
    "cases, of versions side by side and of claims the 95 % interval of the mean (Student t over seeds, not adjusted "
    "for their number). Caveats: *partial*, not all seeds of the queue are there; *narrow*, models are a fraction as "
    "wide; *cut short*, fewer rounds than the authors' script."
)

CHOICE = (
    "A claim is judged in every block with both strategies, by its direction, paired by seed. The block shown is not "
    "chosen by its verdict: blocks with an interval come first, then the longest, then those with most seeds."
)


# Numbers


NUMBER_COLUMNS = ["number", "theirs", "ours", "seeds", "interval", "difference", "verdict", "caveat", "cells"]
NUMBER_WORDS = (0, 6, 7, 8)
"""Of `number_row`, and behind it verdict, caveat and the folder of the cells; and which of them are in words."""


def number_row(number: Number) -> list[str]:
    """Cells of `NUMBER_COLUMNS` from the first to the difference."""
    found = number.found
    assert found, "open numbers are listed otherwise"
    difference = found.mean - float(number.value)
    ratio = found.mean / float(number.value)
    return [
        number.what,
        number.value,
        points(found.mean),
        str(found.n_seeds),
        _interval(found.low, found.high, "z.1f"),
        "–" if pd.isna(difference) else f"{ratio:.2f} ×" if number.in_rounds else f"{difference:+z.1f}",
    ]


def outcome(number: Number) -> str:
    """`reproduced`, `missed: theirs is higher` ..."""
    return f"{MISSED}: {number.outcome}" if number.outcome in (ABOVE, BELOW) else number.outcome


def _interval(low: float, high: float, form: str) -> str:
    return "–" if pd.isna(low) else f"{low:{form}} to {high:{form}}"


OPEN_COLUMNS, OPEN_WORDS = ["source", "numbers of", "how many", "theirs", "why"], (0, 1, 4)


def open_rows(numbers: Sequence[Number]) -> list[list[str]]:
    """A row of `OPEN_COLUMNS` for all open numbers of a source that are of the same and wait for the same."""
    groups: dict[tuple[str, str, str], list[Number]] = {}
    for number in numbers:
        if number.outcome == OPEN:
            groups.setdefault((number.source, number.group, why(number)), []).append(number)
    return [
        [source, group, str(len(of)), _span([number.value for number in of]), reason]
        for (source, group, reason), of in groups.items()
    ]


def why(number: Number) -> str:
    """Why nothing stands beside a number, as far as that is known."""
    if number.queued:
        return f"queued, not run yet: {', '.join(number.queued)}"
    return published.sources()[number.source]["against"] or "in no queue"


def _span(values: list[str]) -> str:
    """`34`, or the least and the greatest of several."""
    if len(set(values)) == 1:
        return values[0]
    return f"{min(values, key=float)} to {max(values, key=float)}"


# Claims


CLAIM_COLUMNS = ["claim", "block", "ours", "seeds", "interval", "verdict", "caveat", "cells"]
CLAIM_WORDS = (0, 1, 5, 6, 7)
"""Of `claim_row`, and behind it verdict, caveat and the folder of the cells; and which of them are in words."""
ELSEWHERE = "other blocks"
"""A further column, see `elsewhere`."""

SAID = {
    published.ORDER: "{higher} ends above {lower}",
    published.GAIN: "{higher} is {low:g} to {high:g} points better than {lower}",
    published.SPEED: "{higher} is {low:g} to {high:g} times as fast as {lower}, in rounds",
    published.TIME: "{higher} is {low:g} to {high:g} times as fast as {lower}, in seconds on the devices",
    published.VARIANCE: "Accuracies of clients vary more with {higher} than with {lower}",
}
"""A claim, by what it is about."""

_RATIOS = (published.SPEED, published.TIME)
"""Claims whose value is not a difference."""


def said(claim: Claim) -> str:
    """The claim in words, and who makes it."""
    low, high = claim.range or (0.0, 0.0)
    text = SAID[claim.about].format(higher=title(claim.higher), lower=title(claim.lower), low=low, high=high)
    return f"{text} ({claim.source})"


def claim_row(claim: Claim, found: Evidence | None) -> list[str]:
    """Cells of `CLAIM_COLUMNS` from the first to the interval."""
    if found is None:
        return [said(claim), "–", "–", "0", "–"]
    value = f"{found.value:.2f} ×" if claim.about in _RATIOS else f"{found.value:+z.2f}"
    ours = "–" if pd.isna(found.value) else value
    return [said(claim), _block(claim, found), ours, str(found.n_seeds), _interval(found.low, found.high, "z.2f")]


def _block(claim: Claim, found: Evidence) -> str:
    """The block, and under which name it has a strategy that is a setting of the claim's."""
    text = block_title(found.higher.dataset, found.higher.family, found.higher.protocol)
    pairs = ((claim.higher, found.higher), (claim.lower, found.lower))
    return "; ".join([text, *(title(line.strategy) for name, line in pairs if line.strategy != name)])


def judged(claim: Claim, found: Evidence | None) -> str:
    """The verdict, and where it may be set beside the claimed range, where it lies."""
    if found is None:
        return OPEN
    return f"{found.verdict}, {found.place} the claimed range" if found.place else found.verdict


def claim_caveat(claim: Claim, found: Evidence | None) -> str:
    """What stands against the comparison: of the source, then of our block; where there is none, why."""
    theirs = published.sources()[claim.source]["against"]
    ours = found.caveat if found else f"queued, not run yet: {', '.join(claim.queued) or 'nowhere'}"
    return "; ".join(filter(None, [theirs, ours]))


def elsewhere(claim: Claim) -> str:
    """What the other blocks say: `2 holds, 1 not resolved`; empty where there are none."""
    words = Counter(found.verdict for found in claim.evidence[1:])
    return ", ".join(f"{words[word]} {word}" for word in [*Verdict, "not reached"] if words[word])


# In all


def system_title(system: str) -> str:
    """E.g. `FlexiFed`."""
    return published.systems()[system]["title"]


def by_source(numbers: Sequence[Number]) -> list[list[str]]:
    """System, source, numbers and `COUNTED`: a row for each source, also for those without a number."""
    counted = _by(numbers, "source", [*published.sources()])
    return [
        [system_title(of["system"]), source, *_counted(counted[source])] for source, of in published.sources().items()
    ]


def by_system(numbers: Sequence[Number], claims: Sequence[Claim]) -> dict[str, list[str]]:
    """For each system numbers, `COUNTED`, and how many of its claims hold."""
    counted = _by(numbers, "system", [*published.systems()])
    return {system: [*_counted(counted[system]), _held(claims, system)] for system in published.systems()}


def total(numbers: Sequence[Number]) -> str:
    """All of them in a sentence."""
    row = counts(numbers).sum(numeric_only=True)
    *said, last = (f"{row[name]} {name}" for name in COUNTED)
    return f"Of {row['numbers']} published numbers: {', '.join(said)} and {last}."


def _by(numbers: Sequence[Number], column: str, names: list[str]) -> dict[Hashable, dict[Hashable, int]]:
    table = counts(numbers, column).set_index(column).reindex(names, fill_value=0)
    return table.to_dict("index")


def _counted(row: Mapping[Hashable, int]) -> list[str]:
    return [str(row[name]) for name in ("numbers", *COUNTED)]


def _held(claims: Sequence[Claim], system: str) -> str:
    verdicts = [claim.verdict for claim in claims if claim.system == system]
    return f"{verdicts.count(Verdict.HOLDS)} of {len(verdicts)}" if verdicts else "–"


def cells(folder: str, line: Line) -> Path:
    """Where a line's cells lie, below the folder of all reference results."""
    return Path(folder) / line.folder
