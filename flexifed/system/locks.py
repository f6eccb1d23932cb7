"""Locks between processes, which the kernel releases when the last process that holds one is gone, however it ended."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flexifed.system import files
from flexifed.system.errors import UserError


def attempt(path: Path) -> IO[str] | None:
    """Take the lock of a file, which is created and keeps this process's number; None where another one holds it.

    The lock belongs to the open file: closing it gives it back, and a child that inherits the file holds it too.
    """
    files.check_writable(path.parent)
    stream = path.open("a")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return None
    stream.truncate(0)
    stream.write(f"{os.getpid()}\n")
    stream.flush()
    return stream


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock of a file in the block; wait for it where another process has it."""
    files.check_writable(path.parent)
    with path.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file in the block, or refuse.

    Args:
        what: what must not be done twice at a time, for the error.

    Raises:
        UserError: another process has the lock, or the folder cannot be written.
    """
    stream = attempt(path)
    if stream is None:
        holder = path.read_text().strip()
        raise UserError(
            f"{what} is under way in another process ({holder}), which holds {path}: wait for it, or stop it."
        )
    with stream:
        yield
