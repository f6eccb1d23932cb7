"""What the report is made from, and what a section of it may hold."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from flexifed import tables
from flexifed.cell import Cell
from flexifed.collect import CELL, read_runs


@dataclass(frozen=True)
class Sources:
    """The files that the page is made from.

    Attributes:
        study: name of the study.
        tables_folder: where the study's tables are.
        runs_file: `runs.parquet`.
        figures: SVG or PNG files named `{kind}.{what}.svg`, kinds as in `pictures.CAPTIONS`, in the order to show them.
        expected: the study's cells.
        has_effects: whether the study names effects, and so has `effects.csv`.
        has_sweep: whether the study names a sweep, and so has `sweep.csv` and `sweep_gains.csv`.
    """

    study: str
    tables_folder: Path
    runs_file: Path
    figures: Sequence[Path]
    expected: Sequence[Cell]
    has_effects: bool = False
    has_sweep: bool = False

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The run records."""
        return read_runs(self.runs_file)

    @cached_property
    def table1(self) -> pd.DataFrame:
        """Table 1."""
        return self.table("table1")

    def table(self, name: str) -> pd.DataFrame:
        """A table by the name of its CSV file."""
        return tables.read(self.tables_folder / f"{name}.csv")

    def missing(self) -> list[str]:
        """The expected cells that have no run."""
        there = {Cell(*values) for values in self.runs[CELL].itertuples(index=False)}
        return [str(cell) for cell in self.expected if cell not in there]


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
    """A table as text, the first `words` of its columns in words. With a `summary` it is folded behind that line."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    words: int = 1
    summary: str = ""
    kind: str = field(default="grid", init=False)


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, with what to read where it cannot be seen."""

    caption: str
    alt: str
    uri: str
    kind: str = field(default="picture", init=False)


Part = Words | Remark | Points | Grid | Picture


@dataclass(frozen=True)
class Section:
    """A heading, a line on what is below it, and that; a section without parts is left out of the page."""

    heading: str
    parts: Sequence[Part]
    about: str = ""


def points(value: float, signed: bool = False) -> str:
    """Percent or percentage points with one decimal; a dash where there is no number."""
    if pd.isna(value):
        return "–"
    return f"{value:+.1f}" if signed else f"{value:.1f}"
