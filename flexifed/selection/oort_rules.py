"""Where Oort's paper and FedScale's code differ: a method of `Paper` is a rule, one of `FedScale` its other reading.

Paper: Lai et al., OSDI 2021, Algorithm 1 and sections 4.2 to 4.4. FedScale: `thirdparty/oort/oort.py`,
`fedscale/cloud/client_manager.py`, `aggregation/aggregator.py` and `execution/torch_client.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

ROUNDING = 1e-9  # (1 - 0.9) * 10 is 0.9999999999999998


class Paper:
    """The rules of the paper."""

    def samples(self, size: int, trained: int) -> int:
        """|B_i| of the statistical utility: all training samples of the client."""
        return size

    def straggler(self, mean: float) -> float | None:
        """A straggler's utility, given the mean of the round's others: it has sent none, so nothing is learned."""
        return None

    def gain(self, utilities: Mapping[int, float], exploited: Sequence[int]) -> float:
        """What the pacer counts of a round: the summed utility of those that have reported one."""
        return sum(utilities.values())

    def pace(self, before: float, lately: float) -> Literal[-1, 0, 1]:
        """Steps by which T changes: one up where the utility of a window is below that of the one before."""
        return 1 if before > lately else 0

    def exploited(self, number: int, exploration: float) -> int:
        """How many of so many are explored clients: (1 - epsilon) K."""
        return int((1 - exploration) * number + ROUNDING)

    def scale(self, utilities: Numbers, prior: Numbers, clip: float) -> Numbers:
        """Clip explored clients' utilities, [n], at their quantile, and scale them to 0..1.

        Algorithm 1 adds the temporal uncertainty, a number below 1, to utilities as they are, of any size. The authors'
        own code scales them first, as here.
        """
        most = quantile(utilities, clip)
        return _scaled(np.minimum(utilities, most), utilities.min(), most)

    def pool(self, descending: Numbers, number: int, cut_off: float) -> int:
        """How many of the utilities, [n], are in the pool: from a share of that of the last one who would be taken."""
        return int((descending >= cut_off * descending[number - 1]).sum())

    def unexplored(self, prior: Numbers, durations: Numbers, number: int, round_number: int) -> Numbers:
        """Weights by which unexplored clients, [n], are drawn: their speeds."""
        return 1 / durations


class FedScale(Paper):
    """The rules of FedScale's code."""

    def samples(self, size: int, trained: int) -> int:
        """As many as are trained in a turn, if the client has as many."""
        return min(size, trained)

    def straggler(self, mean: float) -> float | None:
        """It counts as explored, with the mean."""
        return mean

    def gain(self, utilities: Mapping[int, float], exploited: Sequence[int]) -> float:
        """The mean utility of those that were not taken for exploration; 0 where there are none."""
        found = [utilities[client] for client in exploited if client in utilities]
        return sum(found) / len(found) if found else 0.0

    def pace(self, before: float, lately: float) -> Literal[-1, 0, 1]:
        """Up where the utility changes by no more than a tenth; down where it changes by five times and more."""
        change = abs(lately - before)
        return 1 if change <= 0.1 * before else -1 if change >= 5 * before else 0

    def exploited(self, number: int, exploration: float) -> int:
        """The other way of rounding."""
        return number - int(exploration * number + ROUNDING)

    def scale(self, utilities: Numbers, prior: Numbers, clip: float) -> Numbers:
        """Quantile, least and most are over the priors of unexplored candidates, too; the most is not clipped."""
        pool = np.concatenate([utilities, prior])
        return _scaled(np.minimum(utilities, quantile(pool, clip)), pool.min(), pool.max())

    def pool(self, descending: Numbers, number: int, cut_off: float) -> int:
        """From a share of that of the first one who would not be taken; more than ten times as many as are wanted."""
        last = descending[min(number, len(descending) - 1)]
        return max(int((descending >= cut_off * last).sum()), min(10 * number + 1, len(descending)))

    def unexplored(self, prior: Numbers, durations: Numbers, number: int, round_number: int) -> Numbers:
        """Their priors, among the five times as many with the highest; in the first round everybody is alike."""
        if round_number == 1:
            return np.ones_like(prior)
        highest = np.argsort(-prior, kind="stable")[: 5 * number]
        return np.where(np.isin(np.arange(len(prior)), highest), prior, 0.0)


def quantile(values: Numbers, share: float) -> float:
    """The value, of [n], below which a share of them lies, as both code bases count."""
    return float(np.sort(values)[min(int(len(values) * share), len(values) - 1)])


def _scaled(values: Numbers, least: float, most: float) -> Numbers:
    """So that the most is 1 and a little less than the least is 0: nobody's chance vanishes."""
    return (values - 0.999 * least) / max(most - 0.999 * least, 1e-4)
