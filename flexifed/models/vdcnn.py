"""VDCNN-9/17/29/49: characters embedded in 16 dimensions, residual 1-D blocks at 64/128/256/512 channels.

After Conneau et al. 2017 with shortcuts: one halving between stages, the 8 largest values of each channel, three fully
connected layers (2048, 2048, classes). The first convolution has neither batch norm nor ReLU, and the convolutions
have biases, as in the reproductions (2006wzt, Ruicrand, Yogurteer share this code).
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from flexifed.models._blocks import ChannelsFirst, Residual, Symbols, check_text, initialise_defaults, narrow

KIND = "text"
VERSIONS = ("V1", "V2", "V3", "V4")
TITLES = ("VDCNN-9", "VDCNN-17", "VDCNN-29", "VDCNN-49")

ALPHABET = " abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/|_#$%^&*~`+=<>()[]{}"
ROWS = 2 + len(ALPHABET)  # 69 with padding and unknown (Conneau et al., section 3)
EMBEDDING = 16
BLOCKS = {"V1": (1, 1, 1, 1), "V2": (2, 2, 2, 2), "V3": (5, 5, 2, 2), "V4": (8, 8, 5, 3)}  # per stage
CHANNELS = (1, 2, 4, 8)  # of a stage, in units of 64
KEPT = 8  # values per channel that enter the classifier
HIDDEN = 32  # features of the hidden fully connected layers, in units of 64
ALLOWED = {"width": (0.001, 100), "pooling": ("single", "doubled"), "initial": ("own", "xavier")}
POOLINGS = {"single": (1, 1, 1, 0), "doubled": (2, 2, 2, 1)}  # halvings after each stage


class LargestValues(nn.Module):
    """The `k` largest values of each channel, in their order of appearance: [N, C, L] -> [N, C, k]."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        places = x.topk(self.k, dim=-1, sorted=False).indices.sort(dim=-1).values
        return x.gather(-1, places)


def build(
    version: str,
    shape: tuple[int, ...],
    classes: int,
    *,
    width: float = 1.0,
    pooling: str = "single",
    initial: str = "own",
) -> nn.Module:
    """Build one version; input int64 code points [N, L], output logits [N, classes].

    Args:
        version: One of `VERSIONS`.
        shape: (L,): at least 57 characters, with doubled pooling at least 897.
        classes: Number of outputs.
        width: Factor on every hidden width.
        pooling: "single" halves the length between stages (Conneau et al.); "doubled" halves it twice after each of
            the first three stages and once after the last, as in the reproductions.
        initial: "own" initial values, see `initialise`, or "xavier" for Xavier's normal ones (Ruicrand).

    Raises:
        UserError: the shape is not allowed.
    """
    halvings = POOLINGS[pooling]
    check_text("vdcnn", shape, shortest=(KEPT - 1) * 2 ** sum(halvings) + 1)
    unit = narrow(64, width)
    embedding = max(1, round(EMBEDDING * unit / 64))
    # Values come later; the plain constructor would draw some, which on the meta device loads seconds of code.
    rows = torch.empty(ROWS, embedding)
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        symbols=Symbols(ALPHABET, first=2, unknown=1, length=shape[0]),
        embedding=nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=0),
        channels_first=ChannelsFirst(),
        conv1=nn.Conv1d(embedding, unit, 3, padding=1),
    )
    channels = unit
    for stage, multiple in enumerate(CHANNELS, 1):
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for block in range(1, BLOCKS[version][stage - 1] + 1):
            blocks[f"block{block}"] = Residual(nn.Conv1d, nn.BatchNorm1d, channels, multiple * unit, bias=True)
            channels = multiple * unit
        for pool in range(1, halvings[stage - 1] + 1):
            blocks[f"pool{pool}"] = nn.MaxPool1d(3, stride=2, padding=1)
        parts[f"stage{stage}"] = nn.Sequential(blocks)
    parts["largest"] = LargestValues(KEPT)
    parts["flatten"] = nn.Flatten()
    parts["fc1"] = nn.Linear(KEPT * channels, HIDDEN * unit)
    parts["fc1_relu"] = nn.ReLU(inplace=True)
    parts["fc2"] = nn.Linear(HIDDEN * unit, HIDDEN * unit)
    parts["fc2_relu"] = nn.ReLU(inplace=True)
    parts["fc3"] = nn.Linear(HIDDEN * unit, classes)
    return nn.Sequential(parts)


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Weights of convolutions Kaiming normal (fan in), the rest PyTorch's defaults (the reproductions)."""
    initialise_defaults(model, generator)
    for module in model.modules():
        if isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu", generator=generator)
