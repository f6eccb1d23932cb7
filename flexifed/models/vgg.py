"""VGG-11/13/16/19 with batch norm for images of 32 x 32, as in the authors' code.

Convolutions of 3 x 3 with bias, batch norm and ReLU in five stages, each closed by a 2 x 2 max-pool; then three fully
connected layers (4096, 4096, classes) with dropout of 0.5. (Simonyan & Zisserman 2015, configurations A, B, D, E.)
"""

from collections import OrderedDict

import torch
from torch import nn

from flexifed.models._blocks import Dropout, check_image, initialise_defaults, narrow

KIND = "image"
VERSIONS = ("V1", "V2", "V3", "V4")
TITLES = ("VGG-11", "VGG-13", "VGG-16", "VGG-19")

CONVOLUTIONS = {"V1": (1, 1, 2, 2, 2), "V2": (2, 2, 2, 2, 2), "V3": (2, 2, 3, 3, 3), "V4": (2, 2, 4, 4, 4)}  # per stage
CHANNELS = (1, 2, 4, 8, 8)  # of a stage, in units of 64
HIDDEN = 64  # features of the hidden fully connected layers, in units of 64
ALLOWED = {
    "width": (0.001, 100),
    "dropout": ("before", "after"),
    "initial": ("own", "xavier"),
}


def build(
    version: str,
    shape: tuple[int, ...],
    classes: int,
    *,
    width: float = 1.0,
    dropout: str = "before",
    initial: str = "own",
) -> nn.Module:
    """Build one version; input float [N, C, H, W], output logits [N, classes].

    Args:
        version: One of `VERSIONS`.
        shape: (C, H, W), H and W multiples of 32.
        classes: Number of outputs.
        width: Factor on every hidden width.
        dropout: "before" the first and second fully connected layer (authors' code), or "after" their ReLUs
            (2006wzt, Ruicrand).
        initial: "own" initial values, see `initialise`, or "xavier" for Xavier's normal ones (Ruicrand).

    Raises:
        UserError: the shape is not allowed.
    """
    check_image("vgg", shape, multiple=32)
    unit = narrow(64, width)
    channels, height, across = shape
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    number = 0
    for stage, (convolutions, multiple) in enumerate(zip(CONVOLUTIONS[version], CHANNELS, strict=True), 1):
        for _ in range(convolutions):
            number += 1
            parts[f"conv{number}"] = nn.Conv2d(channels, multiple * unit, 3, padding=1)
            parts[f"norm{number}"] = nn.BatchNorm2d(multiple * unit)
            parts[f"relu{number}"] = nn.ReLU(inplace=True)
            channels = multiple * unit
        parts[f"pool{stage}"] = nn.MaxPool2d(2)
    parts["flatten"] = nn.Flatten()
    features = channels * (height // 32) * (across // 32)
    for hidden in (1, 2):
        if dropout == "before":
            parts[f"drop{hidden}"] = Dropout()
        parts[f"fc{hidden}"] = nn.Linear(features, HIDDEN * unit)
        parts[f"fc{hidden}_relu"] = nn.ReLU(inplace=True)
        if dropout == "after":
            parts[f"drop{hidden}"] = Dropout()
        features = HIDDEN * unit
    parts["fc3"] = nn.Linear(features, classes)
    return nn.Sequential(parts)


def place(version: str, layer: str) -> str:
    """The name, in VGG-19, of a version's layer; see `flexifed.sharing.places`.

    A convolution is numbered through the network. Its place is its stage and its number there, so that conv2 of VGG-11,
    which begins stage 2, is conv3 of VGG-19.
    """
    if not layer.startswith("conv"):
        return layer
    stage, number = 0, int(layer.removeprefix("conv"))
    while number > CONVOLUTIONS[version][stage]:
        number -= CONVOLUTIONS[version][stage]
        stage += 1
    return f"conv{sum(CONVOLUTIONS[VERSIONS[-1]][:stage]) + number}"


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Convolutions N(0, 2 / (k * k * out)) with bias 0, the rest PyTorch's defaults (authors' code)."""
    initialise_defaults(model, generator)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
