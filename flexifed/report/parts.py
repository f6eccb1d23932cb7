"""What the report is made from, and what a section of it may hold."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from flexifed.analysis import finals, metrics, tables
from flexifed.analysis.collect import CELL, read_runs
from flexifed.analysis.statistics import Verdict
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber


@dataclass(frozen=True)
class Sources:
    """The files that the page is made from.

    Attributes:
        study: name of the study.
        tables_folder: where the study's tables are.
        runs_file: `runs.parquet`.
        figures: SVG or PNG files named `{kind}.{what}.svg`, kinds as in `pictures.CAPTIONS`, in the order to show them.
        expected: the study's cells.
        finals: by protocol, the rule for the final number; the page says nothing of protocols that are not here.
        has_effects: whether the study names effects, and so has `effects.csv`.
        has_sweep: whether the study names a sweep, and so has `sweep.csv` and `sweep_gains.csv`.
        has_fairness: whether the study has `fairness.csv`.
        has_clock: whether the study has `seconds.csv`.
        has_budgets: whether the study has `elastic.csv`.
        curves_file: `cells.parquet`; without it the page has curves as pictures only.
        records: the folder that holds `cells/`, as seen from the page.
    """

    study: str
    tables_folder: Path
    runs_file: Path
    figures: Sequence[Path]
    expected: Sequence[Cell]
    finals: Mapping[str, FinalNumber] = field(default_factory=dict, kw_only=True)
    has_effects: bool = False
    has_sweep: bool = False
    has_fairness: bool = False
    has_clock: bool = False
    has_budgets: bool = False
    curves_file: Path | None = None
    records: Path = Path()

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The run records."""
        return read_runs(self.runs_file)

    @cached_property
    def table1(self) -> pd.DataFrame:
        """Table 1."""
        return self.table("table1")

    @property
    def metric(self) -> str:
        """What the study's numbers are of: `accuracy`; where data sets differ, with their names behind."""
        return metrics.titles(cell.dataset for cell in self.expected)

    def table(self, name: str) -> pd.DataFrame:
        """A table by the name of its CSV file."""
        return tables.read(self.tables_folder / f"{name}.csv")

    def rules(self, *protocols: str) -> str:
        """What the final number is, in a sentence: of the protocols named, or of all, together where they agree."""
        said: dict[str, list[str]] = {}
        for name, final in self.finals.items():
            if name in protocols or not protocols:
                said.setdefault(finals.rule(final), []).append(name)
        if len(said) == 1:
            return f"Final number: {next(iter(said))}."
        of = "; ".join(f"{', '.join(names)}: {text}" for text, names in said.items())
        return f"Final number, by protocol: {of}." if of else ""

    def missing(self) -> list[str]:
        """The expected cells that have no run."""
        there = {Cell(*values) for values in self.runs[CELL].itertuples(index=False)}
        return [str(cell) for cell in self.expected if cell not in there]


# What a cell of a grid may hold beside text


@dataclass(frozen=True)
class Link:
    """A link to a place on the page, by the name given there (see `anchor`)."""

    text: str
    to: str


@dataclass(frozen=True)
class Links:
    """Links, one after the other."""

    links: Sequence[Link]
    kind: str = field(default="links", init=False)


@dataclass(frozen=True)
class File:
    """A link to a file or folder, as seen from the page, or to an address elsewhere."""

    text: str
    path: str
    kind: str = field(default="file", init=False)


SYMBOLS = {
    Verdict.HOLDS: "✓",
    Verdict.CONTRADICTED: "✗",
    Verdict.NOT_RESOLVED: "○",
    Verdict.ONE_SEED: "•",
    Verdict.MISSING: "–",
}
"""Before each verdict of `statistics.verdict`, so that none is told by its colour alone."""

BOARD_SYMBOLS = {"reproduced": "✓", "missed": "✗", "undecided": "○", "open": "–"}
"""Before each outcome of the board (`flexifed.board`)."""


@dataclass(frozen=True)
class Judged:
    """One of `SYMBOLS` or `BOARD_SYMBOLS` with its symbol and colour, and what it rests on."""

    word: str
    text: str = ""
    kind: str = field(default="verdict", init=False)

    @property
    def symbol(self) -> str:
        """What stands before the word."""
        return BOARD_SYMBOLS.get(self.word) or SYMBOLS[Verdict(self.word)]


Entry = str | Links | File | Judged
"""A cell of a grid."""


# Parts


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str
    heading: str = ""
    kind: str = field(default="words", init=False)


@dataclass(frozen=True)
class Remark:
    """A paragraph in small print."""

    text: str
    kind: str = field(default="remark", init=False)


@dataclass(frozen=True)
class Points:
    """A list. With a `summary` it is folded behind that line."""

    items: Sequence[str]
    heading: str = ""
    summary: str = ""
    kind: str = field(default="points", init=False)


@dataclass(frozen=True)
class Grid:
    """A table, the first `words` of its columns in words. With a `summary` it is folded behind that line.

    Attributes:
        more_words: places of further columns in words, from 0.
        beside: first cells of the rows that belong to the row above them: they are set in italics and stay below it.
        anchors: a name for each row that links may lead to.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    notes: Sequence[str] = ()
    words: int = 1
    more_words: Sequence[int] = ()
    summary: str = ""
    beside: Sequence[str] = ()
    anchors: Sequence[str] = ()
    kind: str = field(default="grid", init=False)

    @property
    def groups(self) -> list[list[tuple[str, Sequence[Entry]]]]:
        """The rows with their anchors, each together with those beside it; without any, all rows are one group."""
        groups: list[list[tuple[str, Sequence[Entry]]]] = []
        for name, row in zip_longest(self.anchors, self.rows, fillvalue=""):
            if not groups or (self.beside and row[0] not in self.beside):
                groups.append([])
            groups[-1].append((name, row))
        return groups


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, with what to read where it cannot be seen."""

    caption: str
    alt: str
    uri: str
    folded: bool = False
    kind: str = field(default="picture", init=False)


@dataclass(frozen=True)
class Dot:
    """A mean with its interval on a scale from 0 to 100; None where there is none.

    Attributes:
        colour: number of the strategy's colour, see `figures.style.colour_number`.
        text: the number to read.
    """

    name: str
    colour: int
    text: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    paper: float | None = None


@dataclass(frozen=True)
class Card:
    """A block in short: one sentence in large type, its strategies on a scale, and the orderings one by one.

    Attributes:
        ends: what the ends of the scale are.
        orderings: each with its verdict.
    """

    heading: str
    lead: str
    text: str = ""
    dots: Sequence[Dot] = ()
    ends: tuple[str, str] = ("", "")
    orderings: Sequence[Judged] = ()
    kind: str = field(default="card", init=False)


@dataclass(frozen=True)
class Curves:
    """Lines to look at more closely, drawn by the page's script.

    Attributes:
        data: JSON, see `report.curves`.
    """

    data: str
    kind: str = field(default="curves", init=False)


Part = Words | Remark | Points | Grid | Picture | Card | Curves

HANDFUL = {"picture": 5, "words": 10, "points": 10, "grid": 10}
"""Parts of a kind that a section shows; where it has more, each is folded behind its heading or caption."""


@dataclass(frozen=True)
class Section:
    """A heading, a line on what is below it, and that; a section without parts is left out of the page."""

    heading: str
    parts: Sequence[Part]
    about: str = ""

    @property
    def anchor(self) -> str:
        """The name that links to the section lead to."""
        return re.sub(r"[^a-z0-9]+", "-", self.heading.lower()).strip("-")

    @property
    def folded(self) -> set[str]:
        """Kinds of which the section has more than a handful."""
        counts = Counter(part.kind for part in self.parts)
        return {kind for kind, most in HANDFUL.items() if counts[kind] > most}


def anchor(cell: Cell) -> str:
    """The name of a run's record on the page, without characters that a link could not hold."""
    return quote(f"run/{cell}")


def points(value: float, signed: bool = False) -> str:
    """Percent or percentage points with one decimal; a dash where there is no number."""
    if pd.isna(value):
        return "–"
    return f"{value:+z.1f}" if signed else f"{value:z.1f}"
