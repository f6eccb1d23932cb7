"""Servers with a step size for every weight: FedAdagrad, FedAdam and FedYogi (Reddi et al. 2021, Algorithm 2).

    Delta = mean of the uploads - w
    m = beta1 * m + (1 - beta1) * Delta
    v = v + Delta^2                                          (FedAdagrad)
    v = beta2 * v + (1 - beta2) * Delta^2                    (FedAdam)
    v = v - (1 - beta2) * Delta^2 * sign(v - Delta^2)        (FedYogi)
    w = w + rate * m / (sqrt(v) + tau)

v begins at `start`, for which the paper asks tau^2 at least. The paper does not correct the bias of m and v towards
where they begin; TensorFlow Federated does, as Adam does: m / (1 - beta1^t) and v / (1 - beta2^t) in step t. Running
statistics of normalisations are averaged plainly: they are no weights, and a step of theirs can make a variance
negative. FedScale's Yogi steps them like weights, and can be asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from flexifed.training.rules import Uploads


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

    def step(self, now: Tensor, mean: Tensor, state: Mapping[str, Tensor], uploads: Uploads) -> None:
        """See `Rule.step`."""
        first, second = state["first_moment"], state["second_moment"]
        delta = mean.sub_(now)
        first.mul_(self.beta1).add_(delta, alpha=1 - self.beta1)
        second.add_(self.start)  # it is kept less that, because a rule's state is zero at first
        self.accumulate(second, delta.square_())
        of_first, of_second = self.corrections(uploads.step)
        torch.addcdiv(now, first, (second * of_second).sqrt_().add_(self.tau), value=self.rate * of_first, out=mean)
        second.sub_(self.start)

    def corrections(self, step: int) -> tuple[float, float]:
        """Factors on m and v in this step, counted from 1."""
        return 1.0, 1.0

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """Bring v up to date with Delta^2, in place."""
        raise NotImplementedError


class Adagrad(Adaptive):
    """FedAdagrad."""

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """See `Adaptive`."""
        second.add_(square)


@dataclass(frozen=True)
class Forgetting(Adaptive):
    """What the two have in common that forget old squares."""

    beta2: float
    bias_corrected: bool = False

    def corrections(self, step: int) -> tuple[float, float]:
        """See `Adaptive`."""
        return (1 / (1 - self.beta1**step), 1 / (1 - self.beta2**step)) if self.bias_corrected else (1.0, 1.0)


class Adam(Forgetting):
    """FedAdam."""

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """See `Adaptive`."""
        second.lerp_(square, 1 - self.beta2)


class Yogi(Forgetting):
    """FedYogi."""

    def accumulate(self, second: Tensor, square: Tensor) -> None:
        """See `Adaptive`."""
        second.addcmul_(square, torch.sign(second - square), value=self.beta2 - 1)


class YogiOnBuffers(Yogi):
    """FedYogi as in FedScale, which steps running statistics of normalisations, too (`optimizer/yogi.py`)."""

    STEPS_BUFFERS: ClassVar[bool] = True
