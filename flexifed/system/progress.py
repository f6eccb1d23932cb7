"""Progress of cells, downloads and preparation: a bar on a terminal, lines of the log now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol as Interface

from tqdm import tqdm

log = logging.getLogger("flexifed")

SECONDS_BETWEEN_LINES = 15.0


class RoundProgress(Interface):
    """Called after every round with the newest mean of the task's metric (0 .. 1), None before the first.

    And with the simulated seconds since the start, where there is a virtual clock.
    """

    def __call__(self, round_number: int, metric: float | None, seconds: float | None = None) -> None: ...


def _said(title: str, metric: float | None, seconds: float | None) -> str:
    measured = "" if metric is None else f"{title} {100 * metric:.1f} %"
    simulated = "" if seconds is None else f"{_duration(seconds)} on devices"
    return "  ".join(filter(None, [measured, simulated]))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


@contextmanager
def rounds(name: str, total: int, *, title: str, bar: bool | None = None) -> Iterator[RoundProgress]:
    """Report the rounds of one cell.

    Args:
        name: shown in front.
        total: number of rounds.
        title: of the task's metric.
        bar: draw a bar; by default where standard error is a terminal.
    """
    if sys.stderr.isatty() if bar is None else bar:
        with tqdm(total=total, desc=name, unit="round") as drawn:

            def draw(round_number: int, metric: float | None, seconds: float | None = None) -> None:
                drawn.set_postfix_str(_said(title, metric, seconds), refresh=False)
                drawn.update(round_number - drawn.n)

            yield draw
        return
    started = last = time.monotonic()
    first: int | None = None  # a run may go on after a checkpoint

    def line(round_number: int, metric: float | None, seconds: float | None = None) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or round_number
        if now - last < SECONDS_BETWEEN_LINES and round_number < total:
            return
        last = now
        left = (now - started) / (round_number - first + 1) * (total - round_number)
        remaining = f"{tqdm.format_interval(left)} left" if round_number < total else "done"
        said = [name, f"round {round_number}/{total}", _said(title, metric, seconds), remaining]
        log.info("%s", "  ".join(filter(None, said)))

    yield line


Progress = Callable[[int, int], None]
"""Called with what is done and the total (0 when it is not known)."""


@contextmanager
def bar(label: str, unit: str) -> Iterator[Progress]:
    """Give a function that shows progress under a label; `unit` is "B" for bytes or a noun."""
    if not sys.stderr.isatty():
        yield _lines(label)
        return
    with tqdm(desc=label, unit=unit, unit_scale=True, unit_divisor=1024 if unit == "B" else 1000) as shown:

        def update(done: int, total: int) -> None:
            shown.total = total or None
            shown.update(done - shown.n)

        yield update


def _lines(label: str) -> Progress:
    tenth = -1

    def update(done: int, total: int) -> None:
        nonlocal tenth
        now = 10 * done // total if total else -1
        if now > tenth:
            log.info("%s: %d %%", label, 10 * now)
        tenth = now

    return update
