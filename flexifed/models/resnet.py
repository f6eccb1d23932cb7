"""ResNet-20/32/44/56 for small images: 3, 5, 7 or 9 basic blocks at 16, 32 and 64 channels, then one linear layer.

He et al. 2016, section 4.2, with 1x1 convolutions as shortcuts where the size changes, as in every reproduction
(the authors' code holds no ResNet).
"""

from collections import OrderedDict

import torch
from torch import nn

from flexifed.models._blocks import Residual, check_image, initialise_defaults, narrow

KIND = "image"
VERSIONS = ("V1", "V2", "V3", "V4")
TITLES = ("ResNet-20", "ResNet-32", "ResNet-44", "ResNet-56")
ALLOWED = {"width": (0.001, 100), "initial": ("own", "xavier")}

BLOCKS = {"V1": 3, "V2": 5, "V3": 7, "V4": 9}  # per stage
CHANNELS = (1, 2, 4)  # of a stage, in units of 16


def build(version: str, shape: tuple[int, ...], classes: int, *, width: float = 1.0, initial: str = "own") -> nn.Module:
    """Build one version; input float [N, C, H, W], output logits [N, classes].

    Args:
        version: One of `VERSIONS`.
        shape: (C, H, W).
        classes: Number of outputs.
        width: Factor on every hidden width.
        initial: "own" initial values, see `initialise`, or "xavier" for Xavier's normal ones (Ruicrand).

    Raises:
        UserError: the shape is not allowed.
    """
    check_image("resnet", shape)
    channels = narrow(16, width)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(shape[0], channels, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(channels),
        relu1=nn.ReLU(inplace=True),
    )
    unit = channels
    for stage, multiple in enumerate(CHANNELS, 1):
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for block in range(1, BLOCKS[version] + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            blocks[f"block{block}"] = Residual(
                nn.Conv2d, nn.BatchNorm2d, channels, multiple * unit, stride=stride, bias=False
            )
            channels = multiple * unit
        parts[f"stage{stage}"] = nn.Sequential(blocks)
    parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    parts["fc"] = nn.Linear(channels, classes)
    return nn.Sequential(parts)


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Convolutions N(0, 2 / (k * k * out)), the rest PyTorch's defaults (2006wzt, Yogurteer)."""
    initialise_defaults(model, generator)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
