"""Logistic regression over several classes: one linear layer, for samples that are vectors (FedProx, q-FFL)."""

from collections import OrderedDict

import torch
from torch import nn

from flexifed.models._blocks import initialise_defaults
from flexifed.system.errors import UserError

KIND = "vector"
VERSIONS = ("V1",)
TITLES = ("Logistic-1",)
SMALL = True  # a step is mostly overhead, so `engine: auto` trains participants together


def build(version: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    """Build it; input float [N, F], output logits [N, classes].

    Args:
        version: `V1`, the only one.
        shape: (F,).
        classes: Number of outputs.

    Raises:
        UserError: the shape is not allowed.
    """
    if len(shape) != 1 or shape[0] < 1:
        raise UserError(f"family 'logistic' reads vectors of shape (features,); got {shape}.")
    return nn.Sequential(OrderedDict(output=nn.Linear(shape[0], classes)))


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's defaults."""
    initialise_defaults(model, generator)
