"""A queue of cells in order of priority, and how each stands: what is done by the present code, begun, or missing.

A queue is a folder of reference results with a file `queue.jsonl`: one resolved cell (`flexifed.study.single.Run`) per
line, most important first, written by `python -m flexifed generate` from a study. Reading it needs no pydantic.

Cells are trained where every command trains them, below `results/{study}/`, with their checkpoints and prepared data.
A finished one is published: history, record, plan and, if any, its table of budgets are copied to the output folder.
What is done stands there, or in the queue's own folder, which may have come from elsewhere.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from flexifed.settings import layout
from flexifed.sharing import plan
from flexifed.study import single
from flexifed.study.single import Run
from flexifed.system import files, locks
from flexifed.system.errors import UserError

FILE = "queue.jsonl"

State = Literal["done", "trained", "running", "begun", "missing", "stale"]
"""`trained`: finished and not published yet. `running`: in another process. `stale`: done, but not by the present code,
settings or data."""


@dataclasses.dataclass(frozen=True)
class Standing:
    """How a cell of a queue stands.

    Attributes:
        detail: of a stale cell what differs, of a begun one how far it is; else empty.
    """

    run: Run
    state: State
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.state:8} {self.run.job.cell}{f'  ({self.detail})' * bool(self.detail)}"


def text(runs: list[Run]) -> str:
    """The content of a queue's file."""
    return "".join(json.dumps(run.to_json()) + "\n" for run in runs)


def read(folder: Path) -> tuple[Run, ...]:
    """The cells of the queue in a folder of reference results, most important first.

    Raises:
        UserError: there is no queue, a line is not a resolved cell, or the cells belong to several studies.
    """
    path, runs = folder / FILE, []
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; a queue is the folder of a `{FILE}`, see docs/reference.md."
        ) from None
    for number, line in enumerate(lines, start=1):
        try:
            runs.append(Run.from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:  # UserError is a ValueError
            raise UserError(f"{path}, line {number}: not a resolved cell ({error}); run `make generate`.") from None
    if len({run.study for run in runs}) != 1:
        raise UserError(f"{path}: expected the cells of one study; run `make generate`.")
    return tuple(runs)


class Queue:
    """The queue of a folder, and where its results go."""

    def __init__(self, folder: Path, out: Path | None = None) -> None:
        """Args:
        folder: holds `queue.jsonl` and results that are there already.
        out: where new results go; the folder itself where not given.

        Raises:
            UserError: there is no queue, or `out` is where cells are trained.
        """
        self.runs = read(folder)
        self.work = layout.study_folder(self.runs[0].study)
        self.folder, self.out = folder, out or folder
        if self.out.resolve() == self.work.resolve():
            raise UserError(f"{self.out}: cells are trained there; choose another folder for the results.")
        self._elastic: dict[tuple[str, ...], str] = {}  # digests of plans with budgets, as they are asked for

    def file(self, run: Run, pattern: str) -> Path:
        """Where the work on a cell has something: its data, its plan, the cell itself."""
        return self.work / pattern.format(**vars(run.job.cell))

    def lock(self, run: Run) -> Path:
        """The file that is locked while the cell is run or published."""
        return self.file(run, layout.CELL).with_suffix(".lock")

    def standings(self) -> Iterator[Standing]:
        """How each cell stands, in the order of the queue."""
        return map(self.standing, self.runs)

    def standing(self, run: Run) -> Standing:
        """How a cell stands, its lock included."""
        if (mine := locks.attempt(self.lock(run))) is None:
            return Standing(run, "running")
        with mine:
            return self.recorded(run)

    def recorded(self, run: Run) -> Standing:
        """How a cell stands by its files."""
        cell, stale = layout.CELL.format(**vars(run.job.cell)), ""
        for place, state in ((self.out, "done"), (self.folder, "done"), (self.work, "trained")):
            record = place / cell / "run.json"
            if record.is_file() and (record.parent / "history.parquet").is_file():
                different = self._differences(run, record)
                if not different:
                    return Standing(run, state)  # type: ignore[arg-type]
                stale = stale or f"other {', '.join(different)}"
        if stale:
            return Standing(run, "stale", stale)
        checkpoints = sorted((self.work / cell / "checkpoints").glob("round*.json"))
        if checkpoints:
            done = int(checkpoints[-1].stem.removeprefix("round"))
            return Standing(run, "begun", f"{done} of {run.job.protocol.rounds} rounds")
        return Standing(run, "missing")

    def _differences(self, run: Run, path: Path) -> list[str]:
        """In what a record is not of the present settings and code, nor of the data where they are at hand.

        The strategy is represented by its plan. Labels and partitions are parquet, whose bytes depend on a version of
        pyarrow; so the samples stand for the data, and the partitioner's code for the partition.
        """
        card = self.file(run, layout.DATA) / "card.json"
        try:
            record = files.read_object(path)
            data, digests = _samples(record["data"]), record["digests"]
            same_settings = run.job.is_recorded_as(record["settings"])
        except (ValueError, KeyError, TypeError, AttributeError):  # damaged, which UserError (a ValueError) says, too
            return ["record, which is damaged"]
        compared = {
            "settings": (same_settings, True),
            "code": (digests.get("code"), run.job.code()),
            "plan": (digests.get("plan"), self._plan_digest(run, record["data"])),
            "partition code": (digests.get("partition_code"), run.job.partition_code()),
        }
        if card.is_file():
            compared["data"] = (data, _samples(files.read_object(card)))
        return [name for name, (theirs, ours) in compared.items() if theirs != ours]

    def _plan_digest(self, run: Run, card: Mapping[str, Any]) -> str:
        """Of the plan that the present code makes; with budgets it depends on samples, which the record describes."""
        if run.job.protocol.budgets is None:
            return self._plans[_plan(run)]
        key = (run.job.cell.dataset, *_plan(run))
        if key not in self._elastic:
            path = self.file(run, layout.PLAN_OF_DATASET)
            plan.write(single.elastic_plan(run.job, single.table_of(run.job, card)), path)
            self._elastic[key] = files.digest(path)
        return self._elastic[key]

    @cached_property
    def _plans(self) -> dict[tuple[str, ...], str]:
        """Digests of the plans that the present code makes, written as they are wherever a cell is compared."""
        found = {}
        for run in {_plan(run): run for run in self.runs if run.job.protocol.budgets is None}.values():
            path = self.file(run, layout.PLAN)
            single.make_plan(run.job, path)
            found[_plan(run)] = files.digest(path)
        return found

    def publish(self, run: Run, side_by_side: int | None) -> None:
        """Copy what a finished cell leaves to the output folder, the record last; the caller holds its lock.

        A record that stands there already is removed first, so that it never describes another history.

        Args:
            side_by_side: how many cells ran at a time, for whoever reads its wall time; None where it is not known.
        """
        source = self.file(run, layout.CELL)
        target = self.out / layout.CELL.format(**vars(run.job.cell))
        (target / "run.json").unlink(missing_ok=True)
        patterns = [f"{layout.CELL}/history.parquet", layout.plan(run.job.protocol)]
        for pattern in patterns + [layout.BUDGETS] * (run.job.protocol.budgets is not None):
            with files.complete(self.out / pattern.format(**vars(run.job.cell))) as partial:
                shutil.copyfile(self.file(run, pattern), partial)
        files.write_json(target / "run.json", {**files.read_json(source / "run.json"), "side_by_side": side_by_side})


def _plan(run: Run) -> tuple[str, ...]:
    cell = run.job.cell
    return cell.family, cell.strategy, cell.protocol


def _samples(card: Mapping[str, Any]) -> dict[str, str]:
    return {name: digest for name, digest in card["digests"].items() if name.endswith(".npy")}
