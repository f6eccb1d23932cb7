"""Statistics over seeds, which are the repetitions: mean, standard deviation, Student's t interval, verdicts."""

import math
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd
from scipy.special import stdtrit

ROUNDING_ERROR = 1e-9
"""Percentage points below which a difference of two numbers is arithmetic, not measurement."""


@dataclass(frozen=True)
class Summary:
    """Statistics of one number per seed; what one seed (or none) cannot give is NaN."""

    n_seeds: int
    mean: float
    std: float
    ci95_low: float
    ci95_high: float


def summarise(values: "pd.Series[float]") -> Summary:
    """Mean, sample standard deviation (ddof 1) and 95 % Student t interval of one value per seed."""
    n, mean, std = len(values), float(values.mean()), float(values.std(ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n) if n > 1 else math.nan
    return Summary(n, mean, std, mean - half, mean + half)


def has_no_spread(summary: Summary) -> bool:
    """Whether several seeds gave the same value; False for one seed, whose spread nobody knows."""
    return summary.std < ROUNDING_ERROR


class Verdict(StrEnum):
    """What the seeds say of a claim that one number is higher than another; the values stand in tables."""

    HOLDS = "holds"
    CONTRADICTED = "contradicted"
    NOT_RESOLVED = "not resolved"
    ONE_SEED = "one seed"
    MISSING = "missing"


def verdict(difference: Summary) -> Verdict:
    """Whether the interval of higher minus lower leaves zero out: above it, below it, or not.

    A difference that is the same in every seed is not resolved, either. Its interval has no width because the seeds
    happened to agree (accuracies on small shards are coarse) or are one run twice, not because the difference is known
    exactly: a spread of zero is no estimate of the spread. One seed has no interval.
    """
    if difference.n_seeds < 2:
        return Verdict.ONE_SEED if difference.n_seeds else Verdict.MISSING
    if has_no_spread(difference):
        return Verdict.NOT_RESOLVED
    if difference.ci95_low > 0:
        return Verdict.HOLDS
    return Verdict.CONTRADICTED if difference.ci95_high < 0 else Verdict.NOT_RESOLVED


OUTCOMES = {
    Verdict.HOLDS: "raises",
    Verdict.CONTRADICTED: "lowers",
    Verdict.NOT_RESOLVED: "not resolved",
    Verdict.ONE_SEED: "one seed",
    Verdict.MISSING: "not run",
}
"""What `verdict` on a difference above zero says of an effect."""


def outcome(difference: Summary) -> str:
    """What the seeds say of a difference: one of `OUTCOMES`, or `none` where it is zero in each of several seeds."""
    if has_no_spread(difference) and abs(difference.mean) < ROUNDING_ERROR:
        return "none"
    return OUTCOMES[verdict(difference)]
