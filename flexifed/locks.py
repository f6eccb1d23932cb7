"""Locks between processes, which the kernel releases when the last process that holds one is gone, however it ended."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def attempt(path: Path) -> IO[str] | None:
    """Take the lock of a file (created, and left there); None where another process holds it.

    The lock belongs to the open file: closing it gives it back, and a child that inherits the file holds it too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    return stream


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a file in the block; wait for it where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
