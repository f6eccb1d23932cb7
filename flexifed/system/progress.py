"""Progress of a cell: a bar on a terminal, plain lines now and then elsewhere (in logs, under a workflow)."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol as Interface

from tqdm import tqdm

log = logging.getLogger("flexifed")

SECONDS_BETWEEN_LINES = 15.0


class Progress(Interface):
    """Called after every round with the newest mean accuracy (0 .. 1) over the clients, None before the first one."""

    def __call__(self, round_number: int, accuracy: float | None) -> None: ...


def _accuracy(accuracy: float | None) -> str:
    return "" if accuracy is None else f"accuracy {100 * accuracy:.1f} %"


@contextmanager
def rounds(name: str, total: int, *, bar: bool | None = None) -> Iterator[Progress]:
    """Report the rounds of one cell.

    Args:
        name: shown in front.
        total: number of rounds.
        bar: draw a bar; by default where standard error is a terminal.
    """
    if sys.stderr.isatty() if bar is None else bar:
        with tqdm(total=total, desc=name, unit="round") as drawn:

            def draw(round_number: int, accuracy: float | None) -> None:
                drawn.set_postfix_str(_accuracy(accuracy), refresh=False)
                drawn.update(round_number - drawn.n)

            yield draw
        return
    started = last = time.monotonic()
    first: int | None = None  # a run may go on after a checkpoint

    def line(round_number: int, accuracy: float | None) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or round_number
        if now - last < SECONDS_BETWEEN_LINES and round_number < total:
            return
        last = now
        left = (now - started) / (round_number - first + 1) * (total - round_number)
        remaining = f"{tqdm.format_interval(left)} left" if round_number < total else "done"
        log.info("%s", "  ".join(filter(None, [name, f"round {round_number}/{total}", _accuracy(accuracy), remaining])))

    yield line
