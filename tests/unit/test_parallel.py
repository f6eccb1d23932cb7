"""Work that threads share."""

import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from flexifed.data.parallel import Workers
from flexifed.system.errors import UserError


def ignore(done: int, total: int) -> None:
    """Progress that nobody sees."""


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_and_progress_are_in_order(count: int) -> None:
    def make(items: Sequence[int]) -> np.ndarray:
        time.sleep(0.02 if 0 in items else 0)  # the first chunk is the last to be ready
        return np.array([[item, -item] for item in items])

    out = np.full((10, 2), 99)
    seen: list[tuple[int, int]] = []

    Workers(count, lambda done, total: seen.append((done, total))).fill(out, range(10), make, size=4)

    assert out.tolist() == [[i, -i] for i in range(10)]
    assert seen == [(4, 10), (8, 10), (10, 10)]


def test_chunks_are_worked_on_side_by_side() -> None:
    both = threading.Barrier(2, timeout=10)

    def make(items: Sequence[int]) -> np.ndarray:
        both.wait()
        return np.array(items)

    out = np.zeros(2, np.int64)
    Workers(2, ignore).fill(out, [5, 6], make, size=1)

    assert out.tolist() == [5, 6]


def test_first_error_in_order_is_raised_and_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def make(items: Sequence[int]) -> np.ndarray:
        begun.append(items[0])
        if items[0] == 0:
            time.sleep(0.05)  # so that the error of a later item is there first
        if items[0] in (0, 1):
            raise UserError(f"item {items[0]} is bad")
        time.sleep(0.01)
        return np.array(items)

    with pytest.raises(UserError, match="item 0 is bad"):
        Workers(2, ignore).fill(np.zeros(1000), range(1000), make, size=1)

    assert len(begun) < 500


def test_interrupt_ends_the_work() -> None:
    begun: list[int] = []

    def make(items: Sequence[int]) -> np.ndarray:
        begun.append(items[0])
        time.sleep(0.01)
        return np.array(items)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workers(2, interrupt).fill(np.zeros(1000), range(1000), make, size=1)

    assert len(begun) < 500


def test_nothing_to_do() -> None:
    Workers(2, ignore).fill(np.zeros(0), [], np.array, size=10)
