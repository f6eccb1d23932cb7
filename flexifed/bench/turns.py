"""Measuring in turn, A B C A B C ..., so that what else the machine does reaches every candidate alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from flexifed.bench.sizes import Limit

K = TypeVar("K")
T = TypeVar("T")


def in_turn(actions: Mapping[K, Callable[[], T]], limit: Limit, *, warm_ups: int = 0) -> dict[K, list[T]]:
    """Call every action in turn until the limit, at least once; returns what they returned, warm-ups left out.

    The limit's seconds count from the first warm-up on.
    """
    started = time.monotonic()
    for _ in range(warm_ups):
        for action in actions.values():
            action()
    results: dict[K, list[T]] = {key: [] for key in actions}
    for _ in range(max(1, limit.repetitions)):
        for key, action in actions.items():
            results[key].append(action())
        if time.monotonic() - started > limit.seconds:
            break
    return results


@dataclass(frozen=True)
class Spread:
    """Median and range of repetitions."""

    median: float
    low: float
    high: float

    def columns(self, name: str) -> dict[str, float]:
        """As columns of a table: `name`, `name_low`, `name_high`."""
        return {name: self.median, f"{name}_low": self.low, f"{name}_high": self.high}


def spread(values: list[float]) -> Spread:
    """Median and range."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(reference: list[float], values: list[float]) -> Spread:
    """How many times less than the reference the values are, turn by turn."""
    return spread([one / other for one, other in zip(reference, values, strict=True)])
