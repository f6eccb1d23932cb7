"""Published claims: what the seeds of each block with both strategies say of them.

A claim is judged in every block that has both strategies, from the tables of reference results: final numbers and
gains by `comparisons.csv` and `headline.csv`, rounds by `headline.csv`, seconds by `seconds.csv`, variances by
`fairness.csv`. One block speaks for the claim: the first by `folders.precedence`, whatever its verdict.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flexifed.analysis import fairness, headline, published, seconds
from flexifed.analysis.finals import MEAN
from flexifed.analysis.statistics import Verdict
from flexifed.board.folders import Folder, Line, caveats, precedence


@dataclass(frozen=True)
class Evidence:
    """What a block says of a claim.

    Attributes:
        folder: of results.
        higher, lower: the lines compared.
        n_seeds: that both have and that give a number.
        value, low, high: higher less lower, or lower over higher of rounds and seconds, with its 95 % interval.
        verdict: of `statistics.Verdict`, or `not reached`.
        place: where the interval lies beside the claimed range; empty where it may not be set beside it.
        caveat: what must be known of it, in words.
    """

    folder: str
    higher: Line
    lower: Line
    rounds: int
    n_seeds: int
    value: float
    low: float
    high: float
    verdict: str
    place: str
    caveat: str


@dataclass(frozen=True)
class Claim:
    """A published claim with everything that speaks to it.

    Attributes:
        about: as in `claims.csv`.
        range: as claimed, or None.
        evidence: of each block that has been run, the one that speaks for the claim first.
        queued: folders in whose queues a block waits that has both strategies.
    """

    system: str
    source: str
    about: str
    higher: str
    lower: str
    range: tuple[float, float] | None
    evidence: tuple[Evidence, ...]
    queued: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Of the block that speaks for it; `missing` where none has been run."""
        return self.evidence[0].verdict if self.evidence else Verdict.MISSING


def claims(folders: Sequence[Folder]) -> list[Claim]:
    """Every published claim, in the order of the table.

    Args:
        folders: of reference results.
    """
    return [_claim(row, folders) for row in published.claims().to_dict("records")]


def _claim(row: Mapping[Any, Any], folders: Sequence[Folder]) -> Claim:
    evidence = [
        found for folder in folders for found in _EVIDENCE[row["about"]](folder, row) if found.verdict in _HAS_RUN
    ]
    return Claim(
        row["system"],
        row["source"],
        row["about"],
        row["higher"],
        row["lower"],
        None if pd.isna(row["low"]) else (row["low"], row["high"]),
        tuple(sorted(evidence, key=lambda found: precedence(found.n_seeds, found.rounds))),
        tuple(folder.name for folder in folders if any(_pairs(folder, row))),
    )


NOT_REACHED = "not reached"
_HAS_RUN = {*Verdict, NOT_REACHED} - {Verdict.MISSING}
_OF_VARIANCE = {"lowers": Verdict.HOLDS, "raises": Verdict.CONTRADICTED}


def _orders(folder: Folder, claim: Mapping[str, Any]) -> Iterator[Evidence]:
    for row in folder.table("comparisons"):
        if (row["higher"], row["lower"]) == (claim["higher"], claim["lower"]):
            yield _evidence(folder, row, row["higher"], row["lower"], "difference", row["verdict"])


def _gains(folder: Folder, claim: Mapping[str, Any]) -> Iterator[Evidence]:
    """Of the pair of the headline, with its place in the claimed range; of others as for `_orders`."""
    yield from _headline(folder, claim, "gain") if _is_headline(claim) else _orders(folder, claim)


def _speeds(folder: Folder, claim: Mapping[str, Any]) -> Iterator[Evidence]:
    if _is_headline(claim):
        yield from _headline(folder, claim, "speed")


def _is_headline(claim: Mapping[str, Any]) -> bool:
    return (claim["higher"], claim["lower"]) == (headline.OURS, headline.THEIRS)


def _headline(folder: Folder, claim: Mapping[str, Any], name: str) -> Iterator[Evidence]:
    for row in folder.table("headline"):
        if row["claim"] == name and row["version"] == MEAN:
            place = row["beside_paper"] if row["beside_paper"] in ("in", "above", "below") else ""
            yield _evidence(folder, row, claim["higher"], claim["lower"], "value", row["verdict"], place=place)


def _seconds(folder: Folder, claim: Mapping[str, Any]) -> Iterator[Evidence]:
    for row in folder.table("seconds"):
        if claim["lower"] == seconds.BASE and _plugin(folder, row) == claim["higher"] and row["verdict"]:
            row |= {"n_seeds": row["n_pairs"]}
            row |= {"ci95_low": row["times_ci95_low"], "ci95_high": row["times_ci95_high"]}
            yield _evidence(folder, row, row["strategy"], claim["lower"], "times_as_fast", row["verdict"])


def _variances(folder: Folder, claim: Mapping[str, Any]) -> Iterator[Evidence]:
    """Higher less lower, so with the signs of `fairness.csv` turned; a line that is its base is none."""
    for row in folder.table("fairness"):
        ours = claim["higher"] == fairness.BASE and _plugin(folder, row) == claim["lower"]
        if ours and row["n_pairs"] and row["variance_outcome"] != "none":
            row |= {"n_seeds": row["n_pairs"], "value": -row["variance_less_base"]}
            row |= {"ci95_low": -row["variance_less_base_high"], "ci95_high": -row["variance_less_base_low"]}
            verdict = Verdict.ONE_SEED if row["n_pairs"] == 1 else Verdict.NOT_RESOLVED
            verdict = _OF_VARIANCE.get(row["variance_outcome"], verdict)
            yield _evidence(folder, row, claim["higher"], row["strategy"], "value", verdict)


_EVIDENCE: dict[str, Callable[[Folder, Mapping[str, Any]], Iterator[Evidence]]] = {
    published.ORDER: _orders,
    published.GAIN: _gains,
    published.SPEED: _speeds,
    published.TIME: _seconds,
    published.VARIANCE: _variances,
}


def _evidence(
    folder: Folder, row: Mapping[str, Any], higher: str, lower: str, value: str, verdict: str, *, place: str = ""
) -> Evidence:
    """A row of a table as evidence, with the caveats of both lines."""
    above, below = (Line(row["dataset"], row["family"], strategy, row["protocol"]) for strategy in (higher, lower))
    expected = len(set(folder.lines[above].seeds) & set(folder.lines[below].seeds))
    said = [folder.notes.get(line, "") for line in (above, below)]
    if absent := row.get("not_reached", 0):
        said, expected = [f"not reached in {absent} seed{'s' * (absent > 1)}", *said], row["n_seeds"]
    return Evidence(
        folder.name,
        above,
        below,
        folder.lines[above].protocol.rounds,
        row["n_seeds"],
        row[value],
        row["ci95_low"],
        row["ci95_high"],
        str(verdict),
        place,
        caveats(said, row["n_seeds"], expected),
    )


def _plugin(folder: Folder, row: Mapping[str, Any]) -> str:
    return folder.lines[Line(*(row[name] for name in Line._fields))].plugin


def _pairs(folder: Folder, claim: Mapping[str, Any]) -> Iterator[bool]:
    """True for each block of the queue with both strategies."""
    blocks: dict[tuple[str, str, str], set[str]] = {}
    for line, queued in folder.lines.items():
        blocks.setdefault((line.dataset, line.family, line.protocol), set()).add(queued.plugin)
    for there in blocks.values():
        yield {claim["higher"], claim["lower"]} <= there
