"""Models of one version as one: a twin of the model whose layers hold K participants' numbers and work on all of them.

Shapes: K participants, B samples of each, F features, C channels. Features are [K, B, F]. Images go through
convolutions as [B, K * C, H, W], where a convolution in K groups is each participant's own; with channels next to each
other in memory the CNN of FedAvg's MNIST takes half of the time (docs/speed.md).
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed.engines._descent import descend
from flexifed.models._blocks import ChannelDropout, Dropout, Residual
from flexifed.settings import rng
from flexifed.training.client import Batch, Turn
from flexifed.training.engine import Federation
from flexifed.training.precision import autocast

TAKEN_OVER = (nn.Sequential, Residual, nn.ReLU, nn.MaxPool2d, nn.AdaptiveAvgPool2d)
"""What works on stacks as it stands: images keep their channels apart, and the rest goes value by value."""


class StackedLayer(nn.Module):
    """A layer of K participants: parameters and buffers under the same names, with K before their dimensions."""

    def __init__(self, source: nn.Module, k: int) -> None:
        super().__init__()
        self.k = k
        for name, parameter in source.named_parameters(recurse=False):
            self.register_parameter(name, nn.Parameter(parameter.detach().new_empty((k, *parameter.shape))))
        for name, buffer in source.named_buffers(recurse=False):
            self.register_buffer(name, buffer.new_empty((k, *buffer.shape)))


class Convolution(StackedLayer):
    """A convolution in K groups; a strided 1 x 1 one as a dense one of every second place, see `_channels_last`."""

    weight: Tensor

    def __init__(self, source: nn.Conv2d, k: int) -> None:
        super().__init__(source, k)
        assert source.groups == 1 and source.padding_mode == "zeros", "no family has such a convolution"
        self.has_bias, self.stride, self.padding = source.bias is not None, source.stride, source.padding
        self.every: tuple[int, ...] = (1, 1)
        if source.kernel_size == (1, 1) and source.padding == (0, 0):
            self.every, self.stride = source.stride, (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.get_parameter("bias").flatten(0, 1) if self.has_bias else None
        x = x[:, :, :: self.every[0], :: self.every[1]]
        return functional.conv2d(x, self.weight.flatten(0, 1), bias, self.stride, self.padding, groups=self.k)


class BatchNorm(StackedLayer):
    """Batch normalisation, whose statistics are a channel's, and so a participant's own."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, source: nn.BatchNorm2d, k: int) -> None:
        super().__init__(source, k)
        assert source.momentum is not None, "no family averages its statistics over all batches"
        self.momentum, self.eps = source.momentum, source.eps

    def forward(self, x: Tensor) -> Tensor:
        self.num_batches_tracked += 1
        mean, variance = self.running_mean.view(-1), self.running_var.view(-1)
        weight, bias = self.weight.flatten(), self.bias.flatten()
        return functional.batch_norm(x, mean, variance, weight, bias, True, self.momentum, self.eps)


class GroupNorm(StackedLayer):
    """Group normalisation in K times as many groups."""

    weight: Tensor
    bias: Tensor

    def __init__(self, source: nn.GroupNorm, k: int) -> None:
        super().__init__(source, k)
        self.groups, self.eps = source.num_groups, source.eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.group_norm(x, self.k * self.groups, self.weight.flatten(), self.bias.flatten(), self.eps)


class Linear(StackedLayer):
    """K products in one."""

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return LinearFunction.apply(x, self.weight, self.bias)  # type: ignore[no-any-return]


class LinearFunction(torch.autograd.Function):
    """K linear layers; the gradients of their weights come laid out as the weights, as fused SGD needs them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """[K, B, F], [K, O, F] and [K, O] to [K, B, O]."""
        ctx.save_for_backward(x, weight)
        return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Of what `forward` returns to those of its arguments."""
        x, weight = ctx.saved_tensors
        of_x = torch.bmm(gradient, weight.to(gradient.dtype)).to(x.dtype) if ctx.needs_input_grad[0] else None
        of_weight = torch.bmm(gradient.transpose(1, 2), x.to(gradient.dtype)).to(weight.dtype)
        return of_x, of_weight, gradient.sum(dim=1).to(weight.dtype)


class Flatten(StackedLayer):
    """[B, K * C, H, W] to [K, B, F]; without convolutions before it, [K, B, C, H, W] to the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (self.k, -1)).transpose(0, 1).flatten(2) if x.dim() == 4 else x.flatten(2)


class StackedDropout(StackedLayer):
    """Dropout of features, from each participant's own generator (`generators`), scaled as `Dropout` does."""

    generators: Sequence[torch.Generator]

    def __init__(self, source: Dropout, k: int) -> None:
        super().__init__(source, k)
        self.p = source.p

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept(x.shape[1:], x)

    def kept(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """What each participant's dropout keeps, [K, *shape]."""
        kept = like.new_empty((self.k, *shape))
        for one, generator in zip(kept, self.generators, strict=True):
            one.bernoulli_(1 - self.p, generator=generator)
        return kept.div_(1 - self.p)


class StackedChannelDropout(StackedDropout):
    """Dropout of whole channels of images."""

    def forward(self, x: Tensor) -> Tensor:
        kept = self.kept((x.shape[0], x.shape[1] // self.k, 1, 1), x)
        return x * kept.transpose(0, 1).flatten(1, 2)


STACKED: Mapping[type[nn.Module], Callable[..., StackedLayer]] = {
    nn.Conv2d: Convolution,
    nn.BatchNorm2d: BatchNorm,
    nn.GroupNorm: GroupNorm,
    nn.Linear: Linear,
    nn.Flatten: Flatten,
    Dropout: StackedDropout,
    ChannelDropout: StackedChannelDropout,
}


def stackable(model: nn.Module) -> bool:
    """Whether a model consists of layers that are known here."""
    return all(type(module) in STACKED or isinstance(module, TAKEN_OVER) for module in model.modules())


def stacked(model: nn.Module, k: int) -> nn.Module:
    """A twin of a stackable model for K participants, whose numbers are not set yet."""
    twin = copy.deepcopy(model)
    for name, module in list(twin.named_modules()):
        if type(module) in STACKED:
            twin.set_submodule(name, STACKED[type(module)](module, k))
    return twin


class Stack:
    """Participants that are trained together; their models are of one version, and their steps of the same sizes."""

    def __init__(self, federation: Federation, turns: Sequence[Turn]) -> None:
        self.federation, self.turns = federation, turns
        self.model = stacked(federation.models[turns[0].client.version], len(turns)).train()
        self.numbers = self.model.state_dict()
        states = [turn.weights.state() for turn in turns]
        for name, tensor in self.numbers.items():
            torch.stack([state[name] for state in states], out=tensor)
        self.parameters: list[Tensor] = list(self.model.parameters())
        self.starts = [p.detach().clone() for p in self.parameters] if federation.objective else []
        mask = federation.mask(turns[0].client.version, turns[0].client.layout)
        held = mask.state() if mask else {}
        self.masks = [held[name] for name, _ in self.model.named_parameters() if held]
        kept = [turn.velocity.state() for turn in turns if turn.velocity is not None]
        self.momenta = {
            name: torch.stack([s[name] for s in kept]) if kept else torch.zeros_like(p)
            for name, p in self.model.named_parameters()
        }
        self.has_images = any(isinstance(layer, Convolution) for layer in self.model.modules())
        self.generators = [torch.Generator(federation.device) for _ in turns]
        for layer in self.model.modules():
            if isinstance(layer, StackedDropout):
                layer.generators = self.generators

    def train(self, steps: Sequence[Sequence[Batch]], round_number: int) -> Tensor:
        """All steps of a local round, by participant; returns their mean losses and the means of squares, `[K, 2]`."""
        f = self.federation
        for turn, generator in zip(self.turns, self.generators, strict=True):
            generator.manual_seed(rng.torch_seed(f.seed, "dropout", turn.client.id, round_number))
        total, samples = torch.zeros((len(self.turns), 2), dtype=f.server.dtype, device=f.device), 0
        for together in zip(*steps, strict=True):
            indices = torch.cat([step.indices for step in together]).to(f.device)
            draws = {
                name: torch.cat([step.draws[name] for step in together]).to(f.device) for name in together[0].draws
            }
            total += self._step(indices, draws)
            samples += len(together[0].indices)
        self._store()
        return total / samples

    def _step(self, indices: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        """One step of SGD of every participant; returns the sums of their losses, and of the squares, `[K, 2]`."""
        f, k = self.federation, len(self.turns)
        inputs = f.transform.train(f.train.inputs[indices], draws).unflatten(0, (k, -1))
        if self.has_images:  # [K, B, C, H, W]
            inputs = inputs.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        with autocast(f.precision, f.device):
            logits = self.model(inputs)
        outputs = logits.flatten(0, 1).to(f.server.dtype)
        losses = f.task.losses(outputs, f.train.labels[indices]).view(k, -1)
        gradients = [g.contiguous() for g in torch.autograd.grad(losses.mean(dim=1).sum(), self.parameters)]
        momenta: list[Tensor | None] = list(self.momenta.values())
        descend(self.parameters, gradients, momenta, f.protocol.optimiser, f.objective, self.starts, self.masks)
        losses = losses.detach()
        return torch.stack([losses.sum(dim=1), losses.square().sum(dim=1)], dim=1)

    @torch.no_grad()
    def _store(self) -> None:
        for number, turn in enumerate(self.turns):
            _copy_into(turn.weights.state(), self.numbers, number)
            if turn.velocity is not None:
                _copy_into(turn.velocity.state(), self.momenta, number)


def _copy_into(state: Mapping[str, Tensor], stacked_numbers: Mapping[str, Tensor], number: int) -> None:
    for name, tensor in stacked_numbers.items():
        state[name].copy_(tensor[number])
