"""What a participant minimises beside its loss, and which of its values it does not move.

A strategy's function `objective` returns one of these. It is given as its gradient, parameter by parameter, because
that is what engines add to the gradient of the loss, in whatever shape they keep the parameters. The training loss in
the history is that of the samples alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class Objective(Protocol):
    """A term that is added to the loss."""

    def add_gradient(self, gradient: Tensor, now: Tensor, start: Tensor) -> None:
        """Add the term's gradient, in place.

        Args:
            gradient: of the loss, of any shape.
            now: the parameter, of the same shape.
            start: the parameter as the participant downloaded it.
        """
        ...


def add_gradients(
    objective: Objective | None, gradients: Sequence[Tensor], now: Sequence[Tensor], starts: Sequence[Tensor]
) -> None:
    """Add the objective's gradient, if there is one, parameter by parameter, in place; see `Objective.add_gradient`."""
    if objective is not None:
        for gradient, parameter, start in zip(gradients, now, starts, strict=True):
            objective.add_gradient(gradient, parameter, start)


def hold_masked(gradients: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
    """Multiply every gradient by its mask, in place; nothing where there are no masks.

    A value that is zero then stays zero: neither weight decay nor momentum moves it.

    Args:
        gradients: with the objective's term.
        masks: 1 or 0, each of a shape that broadcasts to its gradient's; or none at all.
    """
    if masks:
        for gradient, mask in zip(gradients, masks, strict=True):
            gradient.mul_(mask)


@dataclass(frozen=True)
class Proximal:
    """mu / 2 times the squared distance from the downloaded model (FedProx, Li et al. 2020, equation 2)."""

    mu: float

    def add_gradient(self, gradient: Tensor, now: Tensor, start: Tensor) -> None:
        """See `Objective.add_gradient`."""
        gradient.add_(now, alpha=self.mu).sub_(start, alpha=self.mu)
