"""Progress of downloads and preparation: a bar on a terminal, a line of the log for each tenth elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

log = logging.getLogger("flexifed")

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
