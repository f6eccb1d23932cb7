"""Three small convolutional networks of the literature of FedAvg; nothing is common to them but their kind.

V1 is shaoxiongji/federated-learning's for MNIST (`CNNMnist`): convolutions of 10 and 20 channels, dropout of whole
channels, 50 hidden features with dropout. V2 is McMahan et al.'s for MNIST (2017, section 3): 32 and 64 channels, 512
hidden features, 1,663,370 parameters at 28 x 28. V3 is shaoxiongji's for CIFAR-10 (`CNNCifar`), a LeNet-5: 6 and 16
channels, 120 and 84 hidden features. All kernels are 5 x 5, and every convolution is followed by a 2 x 2 max-pool.
"""

from collections import OrderedDict

import torch
from torch import nn

from flexifed.models._blocks import ChannelDropout, Dropout, check_image, initialise_defaults, narrow
from flexifed.system.errors import UserError

KIND = "image"
VERSIONS = ("V1", "V2", "V3")
TITLES = ("Small-CNN-4", "McMahan-CNN-4", "LeNet-5")
NESTED = False  # no version lies in another
SMALL = True  # a step is mostly overhead, so `engine: auto` trains participants together
ALLOWED = {"width": (0.001, 100)}

UNIT = 2
CHANNELS = {"V1": (5, 10), "V2": (16, 32), "V3": (3, 8)}  # of the convolutions, in units
HIDDEN = {"V1": (25,), "V2": (256,), "V3": (60, 42)}  # features of the fully connected layers, in units
PADDING = {"V1": 0, "V2": 2, "V3": 0}  # McMahan's is TensorFlow's "same"
LEAST = 16  # pixels of a side, so that something is left behind the second pool


def build(version: str, shape: tuple[int, ...], classes: int, *, width: float = 1.0) -> nn.Module:
    """Build one version; input float [N, C, H, W], output logits [N, classes].

    Args:
        version: One of `VERSIONS`.
        shape: (C, H, W), H and W at least 16.
        classes: Number of outputs.
        width: Factor on every hidden width; what is below a half is a half.

    Raises:
        UserError: the shape is not allowed.
    """
    check_image("cnn", shape)
    channels, *sides = shape
    unit = narrow(UNIT, width)
    if min(sides) < LEAST:
        raise UserError(f"family 'cnn' reads images of at least {LEAST} x {LEAST}; got {shape}.")
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, wide in enumerate(CHANNELS[version], 1):
        parts[f"conv{number}"] = nn.Conv2d(channels, wide * unit, 5, padding=PADDING[version])
        if version == "V1" and number == 2:
            parts["drop_channels"] = ChannelDropout()
        parts[f"pool{number}"] = nn.MaxPool2d(2)
        parts[f"relu{number}"] = nn.ReLU(inplace=True)
        channels = wide * unit
        sides = [(side - 4 + 2 * PADDING[version]) // 2 for side in sides]
    parts["flatten"] = nn.Flatten()
    features = channels * sides[0] * sides[1]
    for number, wide in enumerate(HIDDEN[version], 1):
        parts[f"fc{number}"] = nn.Linear(features, wide * unit)
        parts[f"fc{number}_relu"] = nn.ReLU(inplace=True)
        features = wide * unit
    if version == "V1":
        parts["drop"] = Dropout()
    parts["output"] = nn.Linear(features, classes)
    return nn.Sequential(parts)


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's defaults, which shaoxiongji's code leaves in place; McMahan et al. do not say what theirs were."""
    initialise_defaults(model, generator)
