"""Checkpoints inside a cell: everything the next round depends on, so that an interrupted run loses minutes.

Random choices come from streams named by round; so what the next round depends on is what the server holds (shared
parts, its rule's state, and what is personal to clients: layers, momentum, running statistics), what choosing
participants depends on (what a selector has learned, the clock) and the number of the round; and what the result
depends on is the history so far.

A checkpoint is two files: `round{n}.safetensors` with the numbers, and `round{n}.json`, written after it, with what
numbers there are, the attendance, the history, the identity of the run, and the digests of both; a run that keeps the
models of its best round has those of the best so far in a third, `round{n}.best.safetensors`. It counts only where all
digests are right. The newest two stay: one more than needed, should the newest be damaged.
"""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from flexifed.settings.job import through_defaults
from flexifed.system import files
from flexifed.system.errors import UserError
from flexifed.training import tensorfile
from flexifed.training.history import History

log = logging.getLogger("flexifed")

KEPT = 2

SUFFIX = {"weights": ".safetensors", "best": ".best.safetensors"}
"""Of the files of numbers, by the key of their digest in the record."""


@dataclass(frozen=True)
class Session:
    """One process's share of a run.

    Attributes:
        first: round it began with, from 1.
        started: UTC time, ISO 8601.
        device: what it ran on.
        seconds: it has taken up to the checkpoint (or the end).
    """

    first: int
    started: str
    device: str
    seconds: float


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds beside the weights.

    Attributes:
        round: the last round that was finished.
        history: of the rounds up to it.
        sessions: the processes that have worked on the run.
    """

    round: int
    history: History
    sessions: tuple[Session, ...]


class Numbers(Protocol):
    """What holds numbers that a checkpoint saves: the server; the keeper of the best models."""

    def described(self) -> dict[str, Any]:
        """Which tensors there are, ready for JSON; nothing where there is nothing to save."""
        ...

    def make_room(self, described: Mapping[str, Any]) -> None:
        """Make room for the tensors of this description."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name, to be saved or filled."""
        ...


class Stateful(Protocol):
    """What else the next round depends on, without numbers of its own: the attendance."""

    def state(self) -> dict[str, Any]:
        """As JSON."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        ...


class Checkpoints:
    """The checkpoints of one run, in a folder of their own."""

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        minutes: float,
        server: Numbers,
        attendance: Stateful,
        best: Numbers | None = None,
    ) -> None:
        """Args:
        folder: created when the first checkpoint is written.
        identity: all that the run depends on, ready for JSON; a checkpoint with another one is not used.
        minutes: at least so long between two checkpoints; 0 for one after every round.
        server: whose numbers are saved and restored.
        attendance: who takes part in the next rounds.
        best: holds the models of the best round so far, where the run keeps them.
        """
        self.folder = folder
        self.identity = json.loads(json.dumps(identity))
        self.minutes = minutes
        self.numbers = {"weights": server} | ({"best": best} if best else {})
        self.fresh = {what: numbers.described() for what, numbers in self.numbers.items()}
        self.attendance, self.absent = attendance, attendance.state()
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return time.monotonic() - self.last >= 60 * self.minutes

    def save(self, saved: Saved) -> bool:
        """Write a checkpoint, and then remove all but the newest two; those of later rounds are of another run.

        Returns:
            Whether it was written. A failure (a full disk) is logged and not raised: the run is worth more than its
            checkpoint.
        """
        self.last = time.monotonic()
        record = self.folder / f"round{saved.round:06}.json"
        beside = self._beside(record)
        try:
            for what, path in beside.items():
                with files.complete(path) as partial, partial.open("wb") as stream:
                    tensorfile.write(stream, self.numbers[what].tensors())
            body = {
                "round": saved.round,
                "identity": self.identity,
                "holds": {what: self.numbers[what].described() for what in beside},
                **{what: files.digest(path) for what, path in beside.items()},
                "attendance": self.attendance.state(),
                "history": saved.history.columns(),
                "sessions": [asdict(session) for session in saved.sessions],
            }
            with files.complete(record) as partial:
                partial.write_text(json.dumps({"digest": _digest(body), "body": body}))
        except (UserError, OSError) as error:
            log.warning("no checkpoint after round %d: %s The run goes on.", saved.round, error)
            with suppress(OSError):
                for path in beside.values():
                    path.unlink(missing_ok=True)
            return False
        ours = [path for path in self._records() if path.stem <= record.stem]
        kept = {path.stem for path in ours[:KEPT]}
        for path in self.folder.iterdir():
            if path.name.partition(".")[0] not in kept:
                path.unlink(missing_ok=True)
        return True

    def restore(self) -> Saved | None:
        """Put the newest good checkpoint's numbers where they belong and return the rest; None where there is none.

        What is not used is named in the log, with the reason.
        """
        for path in self._records():
            try:
                saved = self._read(path)
            except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
                log.warning("checkpoint %s is not used: %s", path, error)
                for what, numbers in self.numbers.items():
                    numbers.make_room(self.fresh[what])
                self.attendance.restore(self.absent)
            else:
                log.info("continuing after round %d from %s", saved.round, path)
                return saved
        return None

    def _records(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("round*.json"), reverse=True)

    def _read(self, path: Path) -> Saved:
        stored = json.loads(path.read_text())
        body = stored["body"]
        if stored["digest"] != _digest(body):
            raise ValueError("its digest is wrong, it is damaged")
        theirs = {**body["identity"], **through_defaults(body["identity"])}
        different = [key for key in self.identity if theirs.get(key) != self.identity[key]]
        if different:
            raise ValueError(f"it is of a run with other {', '.join(different)}")
        beside = self._beside(path)
        for what, file in beside.items():
            if files.digest(file) != body[what]:
                raise ValueError(f"the digest of {file.name} is wrong, it is damaged")
        for what, file in beside.items():
            self.numbers[what].make_room(body["holds"][what])
            tensorfile.read_into(file, self.numbers[what].tensors())
        self.attendance.restore(body["attendance"])
        sessions = tuple(Session(**session) for session in body["sessions"])
        return Saved(body["round"], History.of(body["history"]), sessions)

    def remove(self) -> None:
        """Remove all checkpoints and their folder: the run is finished."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _beside(self, record: Path) -> dict[str, Path]:
        """The files of tensors beside a record, by the key of their digest in it."""
        return {what: record.with_suffix(SUFFIX[what]) for what in self.numbers}


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
