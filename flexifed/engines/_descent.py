"""The step of SGD that engines other than the serial one take, on whatever tensors they keep their parameters in."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from flexifed.settings.protocol import Optimiser
from flexifed.training.objectives import Objective, add_gradients, hold_masked


@torch.no_grad()
def descend(
    parameters: list[Tensor],
    gradients: list[Tensor],
    momenta: list[Tensor | None],
    settings: Optimiser,
    objective: Objective | None,
    starts: Sequence[Tensor],
    masks: Sequence[Tensor],
) -> None:
    """One step of `torch.optim.SGD`, by its function: the class loads PyTorch's compiler, seconds in every cell.

    Args:
        parameters: changed.
        gradients: of the loss, laid out in memory as the parameters are; changed by the objective's term and the masks.
        momenta: changed.
        settings: of the step.
        objective: what is minimised beside the loss, if anything is.
        starts: the parameters as they were downloaded; needed with an objective only.
        masks: see `hold_masked`.
    """
    add_gradients(objective, gradients, parameters, starts)
    hold_masked(gradients, masks)
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
