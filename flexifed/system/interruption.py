"""Signals that ask a run to stop: it finishes its round, leaves a checkpoint and says that it wants to be run again."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What schedulers send before they kill, what SLURM can be told to send before a time limit, and Ctrl-C."""

EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, try again."""


POLL_SECONDS = 1.0
"""Between two looks at whether the driver is there."""


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


def end_with(driver: int) -> None:
    """Ask this process to stop, as SIGTERM does, when another process is gone, however that one ended.

    A driver that was killed cannot stop its jobs. They would train on, unseen, and the next driver would remove their
    results, which it takes for half-written.

    Args:
        driver: number of a process of this machine.
    """

    def watch() -> None:
        while _exists(driver):
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="watch the driver", daemon=True).start()


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True
