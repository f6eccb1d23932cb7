"""The server's step: how a part of the model moves once a cohort's uploads are in.

A strategy's function `server` returns a rule. Rules work on vectors, value by value, in place. FedOpt's reading (Reddi
et al. 2021, Algorithm 2) is common to all of them: the mean of the uploads less the present value is a step that the
server may scale, or keep in a momentum.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

Fill = Literal["zeros", "owners", "previous_layer", "random"]
"""What stands for a layer, or for values of one, that a participant does not have: see `Filled`."""


@dataclass(frozen=True)
class Uploads:
    """What a step may know of the uploads of its part, beside their mean.

    Attributes:
        count: how many there were.
        share: sum of their weights in the mean.
        curvature: sum of what `Weighing.curvature` gives for them; zero where the rule does not weigh.
        step: of this part's steps, counted from 1.
    """

    count: int
    share: float
    curvature: float
    step: int


class Rule(Protocol):
    """How uploads become the next value of a part.

    Attributes:
        STATE: names of the vectors, like the part and zero at first, that the rule keeps from round to round.
        RELATIVE: whether the step begins at the present value; `now` is only there then.
        STEPS_BUFFERS: whether running statistics of normalisations move as weights do; otherwise they are the mean.
    """

    STATE: ClassVar[tuple[str, ...]]
    RELATIVE: ClassVar[bool]
    STEPS_BUFFERS: ClassVar[bool]

    def step(self, now: Tensor, mean: Tensor, state: Mapping[str, Tensor], uploads: Uploads) -> None:
        """Turn `mean` into the next value.

        Args:
            now: the present value `[n]`, left as it is.
            mean: of the uploads, weighted as the protocol (or a weighing rule) says, `[n]`; changed.
            state: one vector `[n]` for each name in `STATE`; changed.
            uploads: what else is known of them.
        """
        ...


class Weighing(ABC):
    """A rule that weighs uploads by their participants' losses.

    Attributes:
        loss: which one: that of the model that they downloaded, on all of their training samples; or the mean over
            the steps of their turn.
    """

    loss: Literal["at_download", "training"]

    @abstractmethod
    def weight(self, loss: float) -> float:
        """How much the upload of a participant with this loss counts in the mean, beside the protocol's weight."""

    @abstractmethod
    def curvature(self, loss: float, squared_distance: float) -> float:
        """What the participant adds to `Uploads.curvature`.

        Args:
            loss: its loss, nats.
            squared_distance: of its model from the one that it downloaded, in what it shares.
        """


@dataclass(frozen=True)
class Mean:
    """The next value is the mean of the uploads (FedAvg, McMahan et al. 2017, Algorithm 1; FlexiFed)."""

    STATE: ClassVar[tuple[str, ...]] = ()
    RELATIVE: ClassVar[bool] = False
    STEPS_BUFFERS: ClassVar[bool] = False

    def step(self, now: Tensor, mean: Tensor, state: Mapping[str, Tensor], uploads: Uploads) -> None:
        """See `Rule.step`: the mean is what is wanted."""


@dataclass(frozen=True)
class Filled(Mean):
    """The mean over the cohort, where something stands for what a participant does not have (eLF).

    Running statistics are means over those who have them in any case, since there are none of a layer that is not
    there. What nobody of the cohort has stays as it is.

    Attributes:
        fill: `zeros`; `owners` for nothing, so that the mean is over those who have it; `previous_layer` for the
            participant's own layer before it, if that is of the same shape, else zeros; or `random` values, spread as
            the initial ones.
    """

    fill: Fill


@dataclass(frozen=True)
class SumOfDifferences:
    """w + rate * sum of (w_k - w) over the uploads, which is not divided by their number.

    From "Practicing Federated Learning" (chapter 3, `server.py`). A rate of one by the number of uploads is FedAvg, and
    gives its very bits.
    """

    rate: float
    STATE: ClassVar[tuple[str, ...]] = ()
    RELATIVE: ClassVar[bool] = True
    STEPS_BUFFERS: ClassVar[bool] = True  # as the book's code, which takes every entry of the state alike

    def step(self, now: Tensor, mean: Tensor, state: Mapping[str, Tensor], uploads: Uploads) -> None:
        """See `Rule.step`. The sum is uploads times the mean less `now`; a whole step ends at the very mean."""
        torch.lerp(now, mean, self.rate * uploads.count, out=mean)


@dataclass(frozen=True)
class Momentum:
    """v = momentum * v + (w - mean), then w - rate * v (FedAvgM, Hsu et al. 2019, section 3.2)."""

    momentum: float
    rate: float
    STATE: ClassVar[tuple[str, ...]] = ("momentum",)
    RELATIVE: ClassVar[bool] = True
    STEPS_BUFFERS: ClassVar[bool] = False

    def step(self, now: Tensor, mean: Tensor, state: Mapping[str, Tensor], uploads: Uploads) -> None:
        """See `Rule.step`."""
        velocity = state["momentum"]
        velocity.mul_(self.momentum).add_(now).sub_(mean)
        torch.sub(now, velocity, alpha=self.rate, out=mean)
