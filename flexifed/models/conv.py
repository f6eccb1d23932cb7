"""Conv-2/4/6/8 of the literature of lottery tickets: blocks of two 3 x 3 convolutions, no batch norm.

Frankle & Carbin 2019 (Figure 2, Appendix H): one to three blocks of 64, 128 and 256 channels, each closed by a 2 x 2
max-pool, then fully connected layers (256, 256, classes), ReLUs between; Ramanujan et al. 2020 add Conv-8, with 512
channels. At CIFAR-10's shape they have 4,300,992, 2,425,024, 2,261,184 and 5,275,840 weights without biases. The paper
says 4.3, 2.4 and 1.7 million; 1.7 is not what the Conv-6 that it describes has, of which its 1.1 million in
convolutions are right.

In the paper's own head the first fully connected layer reads every position of the last block, of which each pool
leaves a quarter. So it has another size in each version, a shallow network is not a smaller one, and nothing of that
layer can be shared. `head: pooled` is a decision of this project and of no paper: it reads the mean of each channel
over all positions. Then every layer of a shallow version is the corner of one of Conv-8's, and Conv-2 to Conv-8 grow
from 123,722 to 4,885,066 parameters. What still differs is whose channels these are: the last block's, whichever it is.
"""

from collections import OrderedDict

import torch
from torch import nn

from flexifed.models._blocks import check_image, initialise_xavier, narrow
from flexifed.system.errors import UserError

KIND = "image"
VERSIONS = ("V1", "V2", "V3", "V4")
TITLES = ("Conv-2", "Conv-4", "Conv-6", "Conv-8")
SMALL = True  # `engine: auto` trains participants together
ALLOWED = {"width": (0.001, 100), "head": ("paper", "pooled")}

BLOCKS = {"V1": 1, "V2": 2, "V3": 3, "V4": 4}
CHANNELS = (1, 2, 4, 8)  # of a block, in units of 64
HIDDEN = 4  # features of the hidden fully connected layers, in units of 64


def build(version: str, shape: tuple[int, ...], classes: int, *, width: float = 1.0, head: str = "paper") -> nn.Module:
    """Build one version; input float [N, C, H, W], output logits [N, classes].

    Args:
        version: One of `VERSIONS`.
        shape: (C, H, W), H and W at least 2, 4, 8 or 16 pixels, for the deepest version 16. A pool leaves out the last
            row and column of an odd side: 28 pixels become 14, 7, 3 and 1.
        classes: Number of outputs.
        width: Factor on every hidden width.
        head: What the first fully connected layer reads: every position of the last block's channels ("paper"), or
            their means over all positions ("pooled").

    Raises:
        UserError: the shape is not allowed.
    """
    check_image("conv", shape)
    channels, *sides = shape
    unit, least = narrow(64, width), 2 ** BLOCKS[version]
    if min(sides) < least:
        raise UserError(f"{version} of family 'conv' reads images of at least {least} x {least}; got {shape}.")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for block in range(1, BLOCKS[version] + 1):
        for number in (2 * block - 1, 2 * block):
            parts[f"conv{number}"] = nn.Conv2d(channels, CHANNELS[block - 1] * unit, 3, padding=1)
            parts[f"relu{number}"] = nn.ReLU(inplace=True)
            channels = CHANNELS[block - 1] * unit
        parts[f"pool{block}"] = nn.MaxPool2d(2)
        sides = [side // 2 for side in sides]
    if head == "pooled":
        parts["average"] = nn.AdaptiveAvgPool2d(1)
        sides = [1, 1]
    parts["flatten"] = nn.Flatten()
    features = channels * sides[0] * sides[1]
    for hidden in (1, 2):
        parts[f"fc{hidden}"] = nn.Linear(features, HIDDEN * unit)
        parts[f"fc{hidden}_relu"] = nn.ReLU(inplace=True)
        features = HIDDEN * unit
    parts["fc3"] = nn.Linear(features, classes)
    return nn.Sequential(parts)


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Weights Xavier normal (Frankle & Carbin: "Gaussian Glorot"), biases 0."""
    initialise_xavier(model, generator)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
