"""The step of SGD that engines other than the serial one take, on whatever tensors they keep their parameters in."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from flexifed.settings.protocol import Optimiser
from flexifed.training.objectives import Objective, add_gradients


@torch.no_grad()
def descend(
    parameters: list[Tensor],
    gradients: list[Tensor],
    momenta: list[Tensor | None],
    settings: Optimiser,
    objective: Objective | None,
    starts: Sequence[Tensor],
) -> None:
    """One step of `torch.optim.SGD`, by its function: the class loads PyTorch's compiler, seconds in every cell.

    Args:
        parameters: changed.
        gradients: of the loss, laid out in memory as the parameters are; changed by the objective's term.
        momenta: changed.
        settings: of the step.
        objective: what is minimised beside the loss, if anything is.
        starts: the parameters as they were downloaded; needed with an objective only.
    """
    add_gradients(objective, gradients, parameters, starts)
    sgd(
        parameters,
        gradients,
        momenta,
        fused=True,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        lr=settings.learning_rate,
        dampening=0,
        nesterov=False,
        maximize=False,
    )
