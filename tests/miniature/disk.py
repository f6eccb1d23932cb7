"""A disk that is soon full, and one that cannot be written."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_file_system(folder: Path) -> Iterator[Path]:
    """Mount a file system of 128 KiB while the block runs; skips the test where that is not permitted."""
    folder.mkdir()
    with _mounted(folder, "-t", "tmpfs", "-o", "size=128k", "tmpfs"):
        yield folder


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let a folder take no file while the block runs, not even from root; skips the test where it may not mount."""
    with _mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield


@contextmanager
def _mounted(folder: Path, *what: str) -> Iterator[None]:
    try:
        subprocess.run(["mount", *what, str(folder)], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"may not mount a file system: {error}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
