"""Folders of reference results: their tables, and what their queues say of the lines in them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from flexifed.analysis import finals, tables
from flexifed.reference import queue
from flexifed.settings import layout
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol


class Line(NamedTuple):
    """The cells of a study that differ only in their seed."""

    dataset: str
    family: str
    strategy: str
    protocol: str

    @property
    def folder(self) -> str:
        """Where its cells lie, below the folder of results."""
        return Path(layout.CELL.format(**self._asdict(), seed=0)).parent.as_posix()


@dataclass(frozen=True)
class Queued:
    """What a queue says of a line.

    Attributes:
        seeds: that it shall have.
        plugin: the registered strategy, of which the line's may be a setting under a name of its own.
    """

    seeds: tuple[int, ...]
    plugin: str
    protocol: Protocol


@dataclass(frozen=True)
class Folder:
    """A folder of reference results."""

    path: Path

    @property
    def name(self) -> str:
        """Of the folder, e.g. `local-cpu`."""
        return self.path.name

    @cached_property
    def lines(self) -> dict[Line, Queued]:
        """The lines of the queue."""
        jobs = [run.job for run in queue.read(self.path)]
        of_line = {_line(job.cell): job for job in jobs}
        return {
            Line(*row[:4]): Queued(row.seeds, of_line[Line(*row[:4])].strategy_file, of_line[Line(*row[:4])].protocol)
            for row in finals.rows([job.cell for job in jobs])
        }

    @cached_property
    def notes(self) -> dict[Line, str]:
        """What Table 1 notes on each line: what stands against it, and what must be known of it."""
        return {Line(*(row[name] for name in Line._fields)): row["note"] for row in self.table("table1")}

    def data_note(self, line: Line) -> str:
        """Of `notes` what is about the copy of the data; settings are what a number may share with the line."""
        return "; ".join(part for part in self.notes.get(line, "").split("; ") if part.startswith("data: "))

    def table(self, name: str) -> Iterator[dict[str, Any]]:
        """The rows of a table by the name of its CSV file; none where it has not been rendered."""
        path = self.path / f"tables/{name}.csv"
        if path.exists():
            for row in tables.read(path).to_dict("records"):
                yield {str(key): value for key, value in row.items()}


def _line(cell: Cell) -> Line:
    return Line(cell.dataset, cell.family, cell.strategy, cell.protocol)


def read(results: Path) -> list[Folder]:
    """Every folder with a queue, by name."""
    return [Folder(path.parent) for path in sorted(results.glob(f"*/{queue.FILE}"))]


# What must be known of a line


NARROW, SHORTER = re.compile(r"width (1/\d+|0\.\d+)"), re.compile(r"(\d+) rounds \(.*: (\d+)\)")


def caveats(said: Iterable[str], n_seeds: int, expected: int) -> str:
    """What must be known of a line that stands beside somebody's number, in words; empty where nothing must.

    Args:
        said: notes of tables, each with parts that `; ` separates.
        n_seeds: that are there.
        expected: seeds of the queue.
    """
    parts = dict.fromkeys(part for text in said for part in text.split("; ") if part and "missing" not in part)
    partial = [f"partial: {n_seeds} of {expected} seeds"] if n_seeds < expected else []
    return "; ".join([*partial, *map(_labelled, parts)])


def _labelled(part: str) -> str:
    """`width 1/8` is `narrow: width 1/8`, and fewer rounds are `cut short`."""
    if NARROW.fullmatch(part):
        return f"narrow: {part}"
    shorter = SHORTER.fullmatch(part)
    return f"cut short: {part}" if shorter and int(shorter[1]) < int(shorter[2]) else part


def precedence(n_seeds: int, rounds: int) -> tuple[bool, int, int]:
    """Sort key of lines of which one is shown: those with an interval first, then the longest, then most seeds."""
    return (n_seeds < 2, -rounds, -n_seeds)
