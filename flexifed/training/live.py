"""The live view of a running cell: what its history gains, as event files of TensorBoard.

A view of the history and no part of a result: no number, identity or checkpoint depends on it. Where a cell has a
virtual clock, the time of a point is simulated, so that TensorBoard's axis "Relative" counts time on the devices.
"""

import importlib.util
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flexifed.system.errors import UserError
from flexifed.training.history import TOGETHER, History

log = logging.getLogger("flexifed")


def check() -> None:
    """Look for the package, which may be absent.

    Raises:
        UserError: it is.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError(
            "tensorboard: the live view needs the package `tensorboard`, which is not installed here: "
            "`pip install tensorboard`, or leave the key `tensorboard` out of the study."
        )


@contextmanager
def view(folder: Path | None, history: History, done: int) -> Iterator[Callable[[], None]]:
    """Give a function that writes what the history has gained since it was last called.

    Args:
        folder: where the event files go; None to write nothing. A run from the start removes those of an earlier one.
            A run that goes on takes back what they say of rounds after the last one that counts, and adds to them; it
            begins with the whole history where there are none.
        history: of the run.
        done: the round that it goes on after; 0 for a run from the start.

    Raises:
        UserError: there is no package `tensorboard`.
    """
    if folder is None:
        yield lambda: None
        return
    check()
    if not done:
        shutil.rmtree(folder, ignore_errors=True)
    live = Live(folder, history, done)
    try:
        yield live.show
    finally:
        live.close()


class Live:
    """Event files that follow a history, as long as they can be written."""

    def __init__(self, folder: Path, history: History, done: int) -> None:
        """See `view`."""
        from torch.utils.tensorboard import SummaryWriter  # takes seconds, and its package may be absent

        goes_on = any(folder.glob("events.*"))
        self.folder, self.history = folder, history
        self.shown = len(history.columns()["round"]) if goes_on else 0
        self.writer: SummaryWriter | None = None
        with self._or_without():
            self.writer = SummaryWriter(str(folder), purge_step=done + 1 if goes_on else None)

    def show(self) -> None:
        """Write the rows that have come."""
        rows = list(zip(*(column[self.shown :] for column in self.history.columns().values()), strict=True))
        self.shown += len(rows)
        if self.writer and rows:
            seconds = {row[0]: row[5] for row in rows if row[3:5] == ("clock", "seconds")}
            with self._or_without():
                for (round_number, tag), value in scalars(rows).items():
                    self.writer.add_scalar(tag, value, round_number, seconds.get(round_number))
                self.writer.flush()

    def close(self) -> None:
        """Let go of the files."""
        if self.writer:
            with self._or_without():
                self.writer.close()

    @contextmanager
    def _or_without(self) -> Iterator[None]:
        """Go on training where a disk is full or gone."""
        try:
            yield
        except OSError as error:
            log.warning("no live view any more in %s: %s", self.folder, error)
            self.writer = None


def scalars(rows: Iterable[Sequence[Any]]) -> dict[tuple[int, str], float]:
    """Rows of a history as points: by round and tag the mean over clients.

    The tag is phase and metric, e.g. `local/train_loss`; of what is measured of a version's clients together, the
    version as well.
    """
    values: dict[tuple[int, str], list[float]] = {}
    for round_number, client, version, phase, metric, value in rows:
        tag = f"{phase}/{metric}/{version}" if client == TOGETHER and version else f"{phase}/{metric}"
        values.setdefault((round_number, tag), []).append(value)
    return {point: sum(found) / len(found) for point, found in values.items()}
