"""Models of one version as one: K participants' parameters in one tensor each, and the layers that work on them.

Shapes: K participants, B samples of each, F features, C channels. Features are [K, B, F]. Images go through
convolutions as [B, K * C, H, W], where a convolution in K groups is each participant's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed.engines._descent import descend
from flexifed.models._blocks import ChannelDropout, Dropout
from flexifed.settings import rng
from flexifed.training.client import Batch, Turn
from flexifed.training.engine import Federation
from flexifed.training.precision import autocast

Parameters = Mapping[str, Tensor]
"""By name, each [K, ...]."""

LAYERS = (nn.Conv2d, nn.Linear, nn.ReLU, nn.MaxPool2d, nn.Flatten, Dropout)


class Linear(torch.autograd.Function):
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


def stackable(model: nn.Module) -> bool:
    """Whether a model is a plain sequence of layers that are known here."""
    layers = list(model.children())
    return isinstance(model, nn.Sequential) and all(isinstance(layer, LAYERS) for layer in layers)


class Stack:
    """Participants that are trained together; their models are of one version, and their steps of the same sizes."""

    def __init__(self, federation: Federation, turns: Sequence[Turn]) -> None:
        self.federation, self.turns = federation, turns
        self.model = federation.models[turns[0].client.version]
        names = [name for name, _ in self.model.named_parameters()]
        states = [turn.weights.state() for turn in turns]
        self.parameters = {name: torch.stack([s[name] for s in states]).requires_grad_() for name in names}
        self.starts = [p.detach().clone() for p in self.parameters.values()] if federation.objective else []
        kept = [turn.velocity.state() for turn in turns if turn.velocity is not None]
        self.momenta = {
            name: torch.stack([s[name] for s in kept]) if kept else torch.zeros_like(p)
            for name, p in self.parameters.items()
        }
        self.has_images = any(isinstance(layer, nn.Conv2d) for layer in self.model.children())
        self.generators = [torch.Generator(federation.device) for _ in turns]

    def train(self, steps: Sequence[Sequence[Batch]], round_number: int) -> Tensor:
        """All steps of a local round, by participant; returns each one's mean training loss, `[K]`."""
        f = self.federation
        for turn, generator in zip(self.turns, self.generators, strict=True):
            generator.manual_seed(rng.torch_seed(f.seed, "dropout", turn.client.id, round_number))
        total, samples = torch.zeros(len(self.turns), dtype=f.server.dtype, device=f.device), 0
        self.model.train()
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
        """One step of SGD of every participant; returns the sums of their losses, `[K]`."""
        f, k = self.federation, len(self.turns)
        inputs = f.transform.train(f.train.inputs[indices], draws)
        with autocast(f.precision, f.device):
            logits = self._forward(inputs.unflatten(0, (k, -1)))
        logits = logits.flatten(0, 1).to(f.server.dtype)
        losses = functional.cross_entropy(logits, f.train.labels[indices], reduction="none").view(k, -1)
        parameters = list(self.parameters.values())
        gradients = list(torch.autograd.grad(losses.mean(dim=1).sum(), parameters))
        momenta: list[Tensor | None] = list(self.momenta.values())
        descend(parameters, gradients, momenta, f.protocol.optimiser, f.objective, self.starts)
        return losses.detach().sum(dim=1)

    def _forward(self, x: Tensor) -> Tensor:
        """[K, B, C, H, W] to logits [K, B, classes]."""
        if self.has_images:
            x = x.transpose(0, 1).flatten(1, 2)
        for name, layer in self.model.named_children():
            x = self._layer(name, layer, x)
        return x

    def _layer(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        k = len(self.turns)
        if isinstance(layer, nn.Linear):
            weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
            return Linear.apply(x, weight, bias)  # type: ignore[no-any-return]
        if isinstance(layer, nn.Conv2d):
            weight, bias = (self.parameters[f"{name}.{part}"].flatten(0, 1) for part in ("weight", "bias"))
            return functional.conv2d(x, weight, bias, layer.stride, layer.padding, groups=k)
        if isinstance(layer, nn.Flatten):
            return x.unflatten(1, (k, -1)).transpose(0, 1).flatten(2) if x.dim() == 4 else x.flatten(2)
        if isinstance(layer, ChannelDropout):
            kept = self._kept(layer, (x.shape[0], x.shape[1] // k, 1, 1), x)
            return x * kept.transpose(0, 1).flatten(1, 2)
        if isinstance(layer, Dropout):
            return x * self._kept(layer, x.shape[1:], x)
        y: Tensor = layer(x)
        return y

    def _kept(self, layer: Dropout, shape: Sequence[int], like: Tensor) -> Tensor:
        """What each participant's dropout keeps, [K, *shape], from its own generator, scaled as `Dropout` does."""
        kept = like.new_empty((len(self.turns), *shape))
        for one, generator in zip(kept, self.generators, strict=True):
            one.bernoulli_(1 - layer.p, generator=generator)
        return kept.div_(1 - layer.p)

    @torch.no_grad()
    def _store(self) -> None:
        for number, turn in enumerate(self.turns):
            _copy_into(turn.weights.state(), self.parameters, number)
            if turn.velocity is not None:
                _copy_into(turn.velocity.state(), self.momenta, number)


def _copy_into(state: Mapping[str, Tensor], stacked: Parameters, number: int) -> None:
    for name, tensor in stacked.items():
        state[name].copy_(tensor[number])
