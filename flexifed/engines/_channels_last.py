"""Models that compute the same as the families' and suit the hardware better: same names, same shapes of the weights.

Channels lie next to each other in memory (channels_last), which PyTorch offers for two-dimensional layers only. So the
one-dimensional ones become two-dimensional over a height of one, which changes the shape of their weights by a
dimension of size one and nothing else.

On a CPU two kinds of convolution are better off otherwise (measured on VGG, docs/speed.md): with few places left (4 x 4
and 2 x 2), oneDNN's kernels for channels_last take twice as long as those for the plain layout in float32; and in
bfloat16 both take about three times as long as one matrix product over the unfolded input.

And one kind must not be run as it stands: on a processor with AVX2 and no AVX-512, oneDNN's kernel for the gradient of
the weights of a strided 1 x 1 convolution in channels_last writes beyond its memory where there are 2 to 6 input
channels (oneDNN 3.12, torch 2.14.1). So on a CPU it is computed as what it is: a dense one of every second place.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed.models._blocks import ChannelsFirst

FEW_PLACES = 16
"""Convolutions with at most so many places per channel are better off without channels_last on a CPU."""


def channels_last(model: nn.Module) -> nn.Module:
    """A twin of a model, for the same numbers (`Weights.put_into`); its own values are not to be used."""
    twin = copy.deepcopy(model)
    for name, module in list(twin.named_modules()):
        replacement = _replacement(module)
        if replacement is not None:
            twin.set_submodule(name, replacement)
    return twin


def _replacement(module: nn.Module) -> nn.Module | None:
    match module:
        case nn.Conv1d() | nn.Conv2d():
            return Convolution(module)
        case nn.BatchNorm1d():
            norm = nn.BatchNorm2d(module.num_features, module.eps, module.momentum)
            norm.load_state_dict(module.state_dict())
            return norm
        case nn.MaxPool1d():
            return nn.MaxPool2d((1, _only(module.kernel_size)), (1, _only(module.stride)), (0, _only(module.padding)))
        case ChannelsFirst():
            return ChannelsFirstOfOneRow()
    return None


def _only(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]


class ChannelsFirstOfOneRow(nn.Module):
    """[N, L, C] -> [N, C, 1, L], without moving anything: this is channels_last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).unsqueeze(2)


class Convolution(nn.Module):
    """A convolution of one or two dimensions as one of two, [N, C, H, W], in whatever layout is fastest."""

    def __init__(self, source: nn.Conv1d | nn.Conv2d) -> None:
        super().__init__()
        assert source.groups == 1 and source.padding_mode == "zeros", "no family has such a convolution"
        weight = source.weight.detach()
        self.weight = nn.Parameter(weight.unsqueeze(2) if weight.dim() == 3 else weight)
        self.bias = None if source.bias is None else nn.Parameter(source.bias.detach())
        self.stride = (1, *source.stride)[-2:]
        self.dilation = (1, *source.dilation)[-2:]
        assert not isinstance(source.padding, str)
        self.padding = (0, *source.padding)[-2:]
        self.strided_pointwise = self.weight.shape[2:].numel() == 1 and not any(self.padding) and self.stride != (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return self._convolved(x.contiguous(memory_format=torch.channels_last), self.stride)
        if self.strided_pointwise:
            down, across = self.stride
            return self._on_cpu(x[:, :, ::down, ::across], (1, 1))
        return self._on_cpu(x, self.stride)

    def _on_cpu(self, x: Tensor, stride: tuple[int, ...]) -> Tensor:
        if x.shape[2] == 1 or x.shape[2:].numel() > FEW_PLACES:
            return self._convolved(x.contiguous(memory_format=torch.channels_last), stride)
        if stride == self.dilation == (1, 1) and torch.is_autocast_enabled("cpu"):
            return self._unfolded(x)
        return self._convolved(x.contiguous(), stride)

    def _convolved(self, x: Tensor, stride: tuple[int, ...]) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, stride, self.padding, self.dilation)

    def _unfolded(self, x: Tensor) -> Tensor:
        """As one product: every place's neighbourhood, channels innermost, with every filter."""
        filters, _, height, width = self.weight.shape
        (above, left), n = self.padding, len(x)
        padded = functional.pad(x, (left, left, above, above)).permute(0, 2, 3, 1)
        rows, columns = padded.shape[1] - height + 1, padded.shape[2] - width + 1
        shifted = [padded[:, i : i + rows, j : j + columns] for i in range(height) for j in range(width)]
        neighbourhoods = torch.cat(shifted, dim=3).view(n * rows * columns, -1)
        values = functional.linear(neighbourhoods, self.weight.permute(0, 2, 3, 1).reshape(filters, -1), self.bias)
        return values.view(n, rows, columns, filters).permute(0, 3, 1, 2)
