"""ResNet-18 as torchvision has it (He et al. 2016), which "Practicing Federated Learning" trains on CIFAR-10.

One version: FedAvg needs no more. torchvision's stem is made for ImageNet: a 7 x 7 convolution and a pool, each of
stride 2, so that of 32 x 32 pixels one is left before the average; the book uses it as it is, with 1000 outputs of
which ten occur. Weights start at random: `resnet18_pretrained` begins with ImageNet's, as the book does.
"""

from collections import OrderedDict
from math import gcd

import torch
from torch import nn

from flexifed.models import resnet
from flexifed.models._blocks import Residual, check_image, narrow

KIND = "image"
VERSIONS = ("V1",)
TITLES = ("ResNet-18",)
ALLOWED = {
    "width": (0.001, 100),
    "stem": ("imagenet", "cifar"),
    "normalisation": ("batch", "group"),
    "outputs": (0, 100_000),
}

CHANNELS = (1, 2, 4, 8)  # of a stage of two blocks, in units of 64


def build(
    version: str,
    shape: tuple[int, ...],
    classes: int,
    *,
    width: float = 1.0,
    stem: str = "imagenet",
    normalisation: str = "batch",
    outputs: int = 0,
) -> nn.Module:
    """Build the model; input float [N, C, H, W], output logits [N, outputs].

    Args:
        version: "V1".
        shape: (C, H, W), of any size.
        classes: Number of outputs, unless `outputs` says otherwise.
        width: Factor on every hidden width.
        stem: "imagenet", see above, or "cifar": one 3 x 3 convolution of stride 1 and no pool.
        normalisation: "batch", or "group" (Hsieh et al. 2020, for non-IID data): 32 groups at full width, and as many
            channels to a group at every other.
        outputs: 1000 for the book's head; 0 for as many as there are classes.

    Raises:
        UserError: the shape is not allowed.
    """
    check_image("resnet18", shape)
    unit = narrow(64, width)
    groups = gcd(unit, max(1, unit // 2))

    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if normalisation == "batch" else nn.GroupNorm(groups, channels)

    parts: OrderedDict[str, nn.Module] = OrderedDict()
    if stem == "imagenet":
        parts["conv1"] = nn.Conv2d(shape[0], unit, 7, stride=2, padding=3, bias=False)
    else:
        parts["conv1"] = nn.Conv2d(shape[0], unit, 3, padding=1, bias=False)
    parts["norm1"] = norm(unit)
    parts["relu1"] = nn.ReLU(inplace=True)
    if stem == "imagenet":
        parts["pool1"] = nn.MaxPool2d(3, stride=2, padding=1)
    channels = unit
    for stage, multiple in enumerate(CHANNELS, 1):
        for block in (1, 2):
            stride = 2 if stage > 1 and block == 1 else 1
            parts[f"stage{stage}_block{block}"] = Residual(
                nn.Conv2d, norm, channels, multiple * unit, stride=stride, bias=False
            )
            channels = multiple * unit
    parts["average"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels, outputs or classes)
    return nn.Sequential(parts)


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """As in torchvision, and as in `resnet`: convolutions N(0, 2 / (k * k * out)), the rest PyTorch's defaults."""
    resnet.initialise(model, generator)
