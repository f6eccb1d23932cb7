"""CharCNN-3/4/5/6: characters as one-hot vectors, three to six 1-D convolutions, three fully connected layers.

After Zhang et al. 2015 in the reduced form of the reproductions (2006wzt, Yogurteer): 256 channels; two convolutions of
7 with batch norm and max-pool of 3, none to three of 3 with batch norm, a last one of 3 without batch norm but with the
max-pool; dropout of 0.5 after both hidden fully connected layers of 1024.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed.models._blocks import ChannelsFirst, Dropout, Symbols, check_text, initialise_defaults, narrow

KIND = "text"
VERSIONS = ("V1", "V2", "V3", "V4")
TITLES = ("CharCNN-3", "CharCNN-4", "CharCNN-5", "CharCNN-6")
ALLOWED = {"width": (0.001, 100), "initial": ("own", "xavier")}

LENGTH = 1014
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+-=<>()[]{}\n"  # 70 places, "-" twice (Zhang)
MIDDLE = {"V1": 0, "V2": 1, "V3": 2, "V4": 3}  # convolutions of 3 with batch norm
HIDDEN = 4  # features of the hidden fully connected layers, in units of 256


class OneHot(nn.Module):
    """Rows of the alphabet to one-hot vectors, row 0 to zeros: int64 [N, L] -> float [N, L, 70].

    The table is no part of the model's state: it is never trained, averaged or transferred.
    """

    table: Tensor

    def __init__(self, symbols: int) -> None:
        super().__init__()
        # On the CPU also where the model is built on the meta device, which holds no values.
        self.register_buffer("table", torch.eye(symbols + 1, device="cpu")[:, 1:].contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.embedding(x, self.table)


def build(version: str, shape: tuple[int, ...], classes: int, *, width: float = 1.0, initial: str = "own") -> nn.Module:
    """Build one version; input int64 code points [N, L], of which it reads the first 1014, output logits [N, classes].

    Args:
        version: One of `VERSIONS`.
        shape: (L,), at least 123 characters (the deepest version needs them).
        classes: Number of outputs.
        width: Factor on every hidden width.
        initial: "own" initial values, see `initialise`, or "xavier" for Xavier's normal ones (Ruicrand).

    Raises:
        UserError: the shape is not allowed.
    """
    check_text("charcnn", shape, shortest=123)
    unit = narrow(256, width)
    length = min(shape[0], LENGTH)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        symbols=Symbols(ALPHABET, first=1, unknown=0, length=LENGTH),
        one_hot=OneHot(len(ALPHABET)),
        channels_first=ChannelsFirst(),
    )
    channels = len(ALPHABET)
    last = 3 + MIDDLE[version]
    for number in range(1, last + 1):
        kernel = 7 if number <= 2 else 3
        parts[f"conv{number}"] = nn.Conv1d(channels, unit, kernel)
        if number < last:
            parts[f"norm{number}"] = nn.BatchNorm1d(unit)
        parts[f"relu{number}"] = nn.ReLU(inplace=True)
        length -= kernel - 1
        if number in (1, 2, last):
            parts[f"pool{number}"] = nn.MaxPool1d(3)
            length //= 3
        channels = unit
    parts["flatten"] = nn.Flatten()
    features = length * unit
    for hidden in (1, 2):
        parts[f"fc{hidden}"] = nn.Linear(features, HIDDEN * unit)
        parts[f"fc{hidden}_relu"] = nn.ReLU(inplace=True)
        parts[f"drop{hidden}"] = Dropout()
        features = HIDDEN * unit
    parts["fc3"] = nn.Linear(features, classes)
    return nn.Sequential(parts)


def place(version: str, layer: str) -> str:
    """The name, in CharCNN-6, of a version's layer; see `flexifed.sharing.places`.

    The last convolution, which alone has no batch norm, is the last one in every version.
    """
    is_last = layer == f"conv{3 + MIDDLE[version]}"
    return f"conv{3 + MIDDLE[VERSIONS[-1]]}" if is_last else layer


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Weights of convolutions and linear layers N(0, 0.05^2), the rest PyTorch's defaults (2006wzt, Yogurteer)."""
    initialise_defaults(model, generator)
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            nn.init.normal_(module.weight, std=0.05, generator=generator)
