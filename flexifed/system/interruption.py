"""Signals that ask a run to stop: it finishes its round, leaves a checkpoint and says that it wants to be run again."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What schedulers send before they kill, what SLURM can be told to send before a time limit, and Ctrl-C."""

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, try again."""


class Interrupted(Exception):
    """A run stopped because it was asked to; it goes on when it is started again."""


class Request:
    """Which signal has arrived, if any."""

    name: str | None = None


@contextmanager
def noticed() -> Iterator[Request]:
    """Note the first of the signals instead of ending the process; a second one has its usual effect."""
    request = Request()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        request.name = signal.Signals(number).name
        restore()

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
