"""Servers with a step size for every weight: FedAdagrad, FedAdam and FedYogi (Reddi et al. 2021, Algorithm 2).

    Delta = mean of the uploads - w
    m = beta1 * m + (1 - beta1) * Delta
    v = v + Delta^2                                          (FedAdagrad)
    v = beta2 * v + (1 - beta2) * Delta^2                    (FedAdam)
    v = v - (1 - beta2) * Delta^2 * sign(v - Delta^2)        (FedYogi)
    w = w + rate * m / (sqrt(v) + tau)

v begins at `start`, for which the paper asks tau^2 at least. There is no correction of the bias of m, as in the paper.
Running statistics of normalisations are averaged plainly: they are no weights, and a step of theirs can make a variance
negative.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Adaptive:
    """What the three have in common."""

    rate: float
    beta1: float
    tau: float
    start: float
    STATE: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")
    RELATIVE: ClassVar[bool] = True
    STEPS_BUFFERS: ClassVar[bool] = False

    def step(self, now: Tensor, mean: Tensor, state: Mapping[str, Tensor], uploads: int) -> None:
        """See `Rule.step`."""
        first, second = state["first_moment"], state["second_moment"]
        delta = mean.sub_(now)
        first.mul_(self.beta1).add_(delta, alpha=1 - self.beta1)
        second.add_(self.start)  # it is kept less that, because a rule's state is zero at first
        self.accumulate(second, delta.square_())
        torch.addcdiv(now, first, second.sqrt().add_(self.tau), value=self.rate, out=mean)
        second.sub_(self.start)

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """Bring v up to date with Delta^2, in place."""
        raise NotImplementedError


class Adagrad(Adaptive):
    """FedAdagrad."""

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """See `Adaptive`."""
        second.add_(square)


@dataclass(frozen=True)
class Adam(Adaptive):
    """FedAdam."""

    beta2: float

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """See `Adaptive`."""
        second.lerp_(square, 1 - self.beta2)


@dataclass(frozen=True)
class Yogi(Adaptive):
    """FedYogi."""

    beta2: float

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """See `Adaptive`."""
        second.addcmul_(square, torch.sign(second - square), value=self.beta2 - 1)
