"""Published numbers: what each came to, and which line of ours stands beside it.

Read from the tables of reference results: `beside.csv` for numbers of single settings, `errors.csv` for versions side
by side. Where several lines stand beside a number (rates, protocols, studies), the one with the best outcome is shown;
of equal ones the first by `folders.precedence`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flexifed.analysis import beside, finals, published
from flexifed.analysis.finals import MEAN
from flexifed.analysis.statistics import Verdict
from flexifed.analysis.titles import title
from flexifed.board.folders import Folder, Line, Queued, caveats, precedence
from flexifed.sharing.titles import version_title

REPRODUCED, ABOVE, BELOW, UNDECIDED, OPEN = "reproduced", "theirs is higher", "theirs is lower", "undecided", "open"
OUTCOMES = (REPRODUCED, ABOVE, BELOW, UNDECIDED, OPEN)
"""Best first. Undecided: run, with too few seeds, without arriving, or in a setting that cannot be compared."""
MISSED = "missed"
"""`ABOVE` and `BELOW` together."""

_OF_SETTING = {
    beside.INSIDE: REPRODUCED,
    beside.ABOVE: ABOVE,
    beside.BELOW: BELOW,
    Verdict.MISSING.value: OPEN,
}
_OF_VERSIONS = {"inside": REPRODUCED, "above": ABOVE, "below": BELOW, "missing": OPEN}

Key = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """A line of ours beside a published number.

    Attributes:
        folder: of results.
        outcome: one of `OUTCOMES`.
        judged: whether the number is held against this line; of several rates only the best is.
        rounds: of its protocol.
        mean, low, high: percent or rounds, with the interval that decides; NaN where there is none.
        caveat: what must be known of it, in words.
    """

    folder: str
    line: Line
    outcome: str
    judged: bool
    rounds: int
    n_seeds: int
    mean: float
    low: float
    high: float
    caveat: str


@dataclass(frozen=True)
class Number:
    """A published number.

    Attributes:
        group: what it is of, roughly: data set, model, partition.
        what: what it is of, and which quantity.
        value: as published.
        in_rounds: whether it counts rounds; else it is in percent, or in words.
        found: the line of ours beside it, if one has been run.
        queued: folders in whose queues a line of its settings waits.
    """

    system: str
    source: str
    group: str
    what: str
    value: str
    in_rounds: bool = False
    found: Found | None = None
    queued: tuple[str, ...] = ()

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`."""
        return self.found.outcome if self.found else OPEN


def numbers(folders: Sequence[Folder]) -> list[Number]:
    """Every published number, in the order of the tables, with what became of it.

    Args:
        folders: of reference results.
    """
    best: dict[Key, Found] = {}
    for key, found in (pair for folder in folders for pair in _found(folder)):
        best[key] = min(best.get(key, found), found, key=_rank)
    queued = _queued(folders)
    rows = [{str(name): value for name, value in row.items()} for row in published.numbers().to_dict("records")]
    return [_number(row, best.get(_key(row)), queued.get(_key(row), ())) for row in rows] + [*_apart()]


def counts(found: Sequence[Number], *by: str) -> pd.DataFrame:
    """How many numbers came to what.

    Args:
        found: as `numbers` gives them.
        by: attributes to count by, `system` and `source` where none are given.

    Returns:
        A row for each value of them, in the order of the numbers: numbers, `OUTCOMES` and `MISSED`.
    """
    names = by or ("system", "source")
    counted: dict[tuple[str, ...], Counter[str]] = {}
    for number in found:
        counted.setdefault(tuple(getattr(number, name) for name in names), Counter())[number.outcome] += 1
    rows = [
        dict(zip(names, key, strict=True))
        | {"numbers": of.total(), **{outcome: of[outcome] for outcome in OUTCOMES}, MISSED: of[ABOVE] + of[BELOW]}
        for key, of in counted.items()
    ]
    return pd.DataFrame(rows, columns=[*names, "numbers", *OUTCOMES, MISSED])


def _rank(found: Found) -> tuple[Any, ...]:
    return (OUTCOMES.index(found.outcome), not found.judged, *precedence(found.n_seeds, found.rounds))


def _key(row: Mapping[Any, Any]) -> Key:
    """What tells a published number from every other: what it is of, and of a single setting when, and its value."""
    what = (row["source"], row["dataset"], row["family"], row["version"], row["strategy"], row["metric"])
    return (*what, f"{float(row['at']):g}", f"{float(row['value']):g}") if row["at"] else what


# In words


def _number(row: Mapping[str, Any], found: Found | None, queued: tuple[str, ...]) -> Number:
    group = [title(row["dataset"]), title(row["family"]), *filter(None, [row["partitioner"]])]
    what = [title(row["dataset"]), version_title(row["family"], row["version"]), title(row["strategy"])]
    return Number(
        row["system"],
        row["source"],
        ", ".join(group),
        ", ".join([*what, *_settings(row), *_quantity(row)]),
        row["value"],
        row["metric"] == "rounds_to",
        found,
        queued,
    )


def _settings(row: Mapping[str, str]) -> Iterator[str]:
    if row["clients"]:
        yield f"{row['cohort']} of {row['clients']} clients, {row['partitioner']}"
        yield f"E = {row['local_epochs']}, B = {row['batch_size']}"


def _quantity(row: Mapping[str, str]) -> Iterator[str]:
    if row["metric"] == "rounds_to":
        yield f"rounds to {row['at']} %"
    elif row["at"]:
        yield f"accuracy after {row['at']} rounds [%]"


def _apart() -> Iterator[Number]:
    for system, source, what, value in published.apart().itertuples(index=False, name=None):
        yield Number(system, source, what.rpartition(", ")[0] or what, what, value)


# Lines of ours


def _found(folder: Folder) -> Iterator[tuple[Key, Found]]:
    """Each line that has been run and stands beside a number."""
    for row in folder.table("beside"):
        outcome = _OF_SETTING.get(row["verdict"], UNDECIDED)
        if outcome != OPEN:
            yield _key(row | {"value": row["published"]}), _beside(folder, row, outcome)
    for row in folder.table("errors"):
        outcome = _OF_VERSIONS.get(row["published_is"], UNDECIDED)
        if row["version"] != MEAN and outcome != OPEN:
            yield _key(row | {"metric": "accuracy", "at": ""}), _of_version(folder, row, outcome)


def _beside(folder: Folder, row: Mapping[str, Any], outcome: str) -> Found:
    """A row of `beside.csv`."""
    note = row["note"] if isinstance(row["note"], str) else ""
    absent, there = row["not_reached"], row["not_reached"] + row["n_seeds"]
    doubt = f"{row['verdict']} by {absent} of {there} seeds" if absent else row["verdict"]
    said = [note or doubt] if outcome == UNDECIDED else [note]
    interval = (row["mean"], row["one_more_low"], row["one_more_high"])
    data = folder.data_note(Line(*(row[name] for name in Line._fields)))
    return _line(folder, row, outcome, interval, [*said, data], there=there, judged=row["verdict"] != beside.NOT_BEST)


def _of_version(folder: Folder, row: Mapping[str, Any], outcome: str) -> Found:
    """A row of `errors.csv`."""
    doubt = [row["published_is"]] if outcome == UNDECIDED and not row["against"] else []
    interval = (row["mean"], row["ci95_low"], row["ci95_high"])
    return _line(folder, row, outcome, interval, [row["against"], *doubt, row["note"]], there=row["n_seeds"])


def _line(
    folder: Folder,
    row: Mapping[str, Any],
    outcome: str,
    interval: tuple[float, float, float],
    said: Sequence[str],
    *,
    there: int,
    judged: bool = True,
) -> Found:
    line = Line(*(row[name] for name in Line._fields))
    queued = folder.lines[line]
    caveat = caveats(said, there, len(queued.seeds))
    return Found(folder.name, line, outcome, judged, queued.protocol.rounds, row["n_seeds"], *interval, caveat)


def _queued(folders: Sequence[Folder]) -> dict[Key, tuple[str, ...]]:
    """Folders in whose queues there is a line of a number's settings, whether it has been run or not."""
    every: dict[Key, dict[str, None]] = {}
    for folder in folders:
        for line, queued in folder.lines.items():
            row = finals.Row(*line, queued.seeds)
            for number in [*_of_single(row, queued), *_of_versions(row, queued)]:
                every.setdefault(_key(number), {})[folder.name] = None
    return {key: tuple(names) for key, names in every.items()}


def _of_single(row: finals.Row, queued: Queued) -> Iterator[Mapping[Any, Any]]:
    if len(queued.protocol.versions) == 1:
        yield from beside.of_line(row, queued.protocol)


def _of_versions(row: finals.Row, queued: Queued) -> Iterator[Mapping[Any, Any]]:
    table = published.numbers()
    same = (table[["dataset", "family", "strategy"]] == list(row[:3])).all(axis=1) & (table["at"] == "")
    yield from table[same & table["version"].isin(queued.protocol.versions)].to_dict("records")
