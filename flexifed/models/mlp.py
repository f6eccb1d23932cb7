"""MLP-2/3/4/5: one to four hidden fully connected layers of 200 with ReLU, then the output layer.

For images that are small enough to need no convolution. V1 with `dropout: 0.5` is shaoxiongji/federated-learning's
(`MLP` with 200 hidden features). V2 is the "2NN" of McMahan et al. 2017 (section 3), who count hidden layers, where a
title here counts the output layer as well. The versions have every hidden layer in common that
both have, so Max-Common shares all of a shallower version but its output layer.
"""

from collections import OrderedDict

import torch
from torch import nn

from flexifed.models._blocks import Dropout, check_image, initialise_defaults, narrow

KIND = "image"
VERSIONS = ("V1", "V2", "V3", "V4")
TITLES = ("MLP-2", "MLP-3", "MLP-4", "MLP-5")
SMALL = True  # a step is mostly overhead, so `engine: auto` trains participants together
ALLOWED = {"width": (0.001, 100), "dropout": (0, 0.99)}

HIDDEN_LAYERS = {"V1": 1, "V2": 2, "V3": 3, "V4": 4}
FEATURES = 200  # of a hidden layer


def build(version: str, shape: tuple[int, ...], classes: int, *, width: float = 1.0, dropout: float = 0.0) -> nn.Module:
    """Build one version; input float [N, C, H, W], output logits [N, classes].

    Args:
        version: One of `VERSIONS`.
        shape: (C, H, W), of any size.
        classes: Number of outputs.
        width: Factor on every hidden width.
        dropout: Share of hidden features that is dropped, before the ReLU as in shaoxiongji's code.

    Raises:
        UserError: the shape is not allowed.
    """
    check_image("mlp", shape)
    channels, height, across = shape
    features, unit = channels * height * across, narrow(FEATURES, width)
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for hidden in range(1, HIDDEN_LAYERS[version] + 1):
        parts[f"fc{hidden}"] = nn.Linear(features, unit)
        if dropout:
            parts[f"drop{hidden}"] = Dropout(dropout)
        parts[f"relu{hidden}"] = nn.ReLU(inplace=True)
        features = unit
    parts["output"] = nn.Linear(features, classes)
    return nn.Sequential(parts)


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's defaults."""
    initialise_defaults(model, generator)
