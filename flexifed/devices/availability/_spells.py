"""What traces have in common: putting spells in order."""

import numpy as np

from flexifed.devices.fleet import Seconds


def tidy(starts: Seconds, ends: Seconds, period: float) -> tuple[Seconds, Seconds]:
    """The spells of one client in the form that `flexifed.devices.fleet.Spells` asks for.

    Args:
        starts: seconds, float64 [n], in any order, also below 0 or beyond the period.
        ends: float64 [n], at least the start, and at most a period later.
        period: seconds.

    Returns:
        Starts and ends, float64 [m]: moved into the period, cut in two at its end, joined where they meet, none empty.
    """
    before = period * np.floor(starts / period)
    starts, ends = starts - before, ends - before
    over = ends > period
    starts = np.concatenate([starts, np.zeros(over.sum())])
    ends = np.concatenate([np.minimum(ends, period), ends[over] - period])
    order = np.argsort(starts[ends > starts], kind="stable")
    starts, ends = starts[ends > starts][order], ends[ends > starts][order]
    reached = np.maximum.accumulate(ends)
    apart = starts[1:] > reached[:-1]
    return starts[np.append(True, apart)[: len(starts)]], reached[np.append(apart, True)[: len(ends)]]
