"""What the families share: narrowing, shape checks, dropout and residual blocks, initial values.

Shapes: N samples, C channels, L length, F features; convolutions are 1-D on [N, C, L] or 2-D on [N, C, H, W].
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from flexifed.system.errors import UserError

NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm)


def narrow(unit: int, width: float) -> int:
    """Scale a family's smallest hidden width; every other one is a multiple of it.

    Keeping the multiples keeps the chain: layers that differ between two versions at width 1 differ at every width.
    From 8 on, the result is a multiple of 4 (vectorised kernels); it is at least 1.
    """
    scaled = unit * width
    return 4 * round(scaled / 4) if scaled >= 8 else max(1, round(scaled))


def check_image(family: str, shape: tuple[int, ...], multiple: int = 1) -> None:
    """Raise a UserError unless `shape` is (C, H, W) with H and W positive multiples of `multiple`."""
    if len(shape) != 3 or min(shape) < 1 or shape[1] % multiple or shape[2] % multiple:
        sides = f", height and width multiples of {multiple}" if multiple > 1 else ""
        raise UserError(f"family {family!r} reads images of shape (channels, height, width){sides}; got {shape}.")


def check_text(family: str, shape: tuple[int, ...], shortest: int) -> None:
    """Raise a UserError unless `shape` is (L,) with L at least `shortest`."""
    if len(shape) != 1 or shape[0] < shortest:
        raise UserError(f"family {family!r} reads texts of shape (length,) with length >= {shortest}; got {shape}.")


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, never from the global one; see `set_generator`."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        assert self.generator is not None, "training needs set_generator(model, generator) first"
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep.div_(1 - self.p)


class ChannelDropout(Dropout):
    """Dropout of whole channels of [N, C, H, W] (Tompson et al. 2015)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * super().forward(torch.ones_like(x[:, :, :1, :1]))


class ScaledReLU(nn.ReLU):
    """A ReLU that divides by `rate` while training: HeteroFL's scaler (Diao et al. 2021, section 3.2).

    The paper divides what a layer puts out, before the ReLU, which comes to the same.
    """

    rate: float

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y / self.rate if self.training else y


def scale_activations(model: nn.Module, rate: float) -> None:
    """Let every ReLU directly behind a weight layer divide by `rate` while training, in place.

    Behind a normalisation nothing is done: it takes the factor out again.
    """
    behind_weights = False
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            behind_weights = True
        elif isinstance(module, NORMALISATIONS):
            behind_weights = False
        elif type(module) is nn.ReLU and behind_weights:
            module.__class__ = ScaledReLU
            setattr(module, "rate", rate)  # noqa: B010  (mypy takes any attribute of a module for a tensor)


def set_generator(model: nn.Module, generator: torch.Generator | None) -> None:
    """Make every dropout of a model draw from `generator`, which must live on the model's device."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.generator = generator


class Residual(nn.Module):
    """ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x)), kernels of 3.

    The shortcut is the identity, or a 1x1 convolution with batch norm where channels or stride change (option B of
    He et al. 2016).
    """

    def __init__(
        self,
        conv: type[nn.Conv1d] | type[nn.Conv2d],
        norm: Callable[[int], nn.Module],
        channels_in: int,
        channels: int,
        *,
        stride: int = 1,
        bias: bool,
    ) -> None:
        super().__init__()
        self.conv1 = conv(channels_in, channels, 3, stride=stride, padding=1, bias=bias)
        self.norm1 = norm(channels)
        self.conv2 = conv(channels, channels, 3, padding=1, bias=bias)
        self.norm2 = norm(channels)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels:
            self.shortcut.add_module("conv", conv(channels_in, channels, 1, stride=stride, bias=False))
            self.shortcut.add_module("norm", norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu_(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        y += self.shortcut(x)
        return torch.relu_(y)


class Symbols(nn.Module):
    """Code points to the row numbers of an alphabet: int64 [N, L] -> int64 [N, min(L, length)].

    Code point 0 (padding) is row 0, the first character of `alphabet` is row `first`, everything else is `unknown`.
    """

    table: Tensor

    def __init__(self, alphabet: str, *, first: int, unknown: int, length: int) -> None:
        super().__init__()
        assert alphabet.isascii() and "\x7f" not in alphabet
        # On the CPU also where the model is built on the meta device, which holds no values.
        table = torch.full((128,), unknown, device="cpu")
        table[0] = 0
        for row, character in reversed(list(enumerate(alphabet, first))):  # of a repeated character the first counts
            table[ord(character)] = row
        self.register_buffer("table", table, persistent=False)
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        return self.table[x[:, : self.length].clamp(0, 127)]


class ChannelsFirst(nn.Module):
    """[N, L, C] -> [N, C, L]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)


def initialise_xavier(model: nn.Module, generator: torch.Generator) -> None:
    """Weights of convolutions and linear layers Xavier normal (Glorot & Bengio 2010); the rest stays as it is."""
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(module.weight, generator=generator)


def initialise_defaults(model: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's default initial values from a given generator; a family then overwrites what it does otherwise.

    Convolutions and linear layers: weight and bias uniform within 1/sqrt(fan_in). Embeddings: N(0, 1), the padding
    row 0. Normalisation: weight 1, bias 0, running mean 0, running variance 1, counter 0.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=generator)
            if module.padding_idx is not None:
                nn.init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, NORMALISATIONS):
            module.reset_parameters()
