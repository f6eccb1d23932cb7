"""What a model costs a client: parameters, multiply-adds, values sent, and memory; from shapes alone, without values.

Counted are the multiply-adds of convolutions and linear layers in one forward pass; a backward pass takes about twice
as many again. Not counted: looking up embeddings, biases, normalisation, activations, pooling, and products of
activations with each other (`dlrm` has some).
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flexifed.models._blocks import Symbols
from flexifed.models._rows import Rows
from flexifed.sharing.layers import WEIGHTED

BYTES = 4  # of a float32, and of an int32 index


@dataclass(frozen=True)
class Cost:
    """What one client spends on a model.

    Attributes:
        parameters: trainable ones.
        multiply_adds: of one forward pass of one sample.
        values: floating-point values sent each way in a round if all are averaged, running statistics included.
        memory: bytes of training by SGD with momentum in float32: weights and statistics, gradients, momentum, and
            what the backward pass of a batch needs. An estimate: it takes this to be the output of every module that
            makes a new tensor, without the indices that pools keep, dropout, workspaces and the allocator. For the
            families here it is 0.7 to 1.02 of what PyTorch keeps.
    """

    parameters: int
    multiply_adds: int
    values: int
    memory: int


@dataclass(frozen=True)
class LayerCost:
    """What a mask on a layer's weight scales.

    Attributes:
        weights: values of its weight, without the bias.
        multiply_adds: of one forward pass of one sample; 0 for embeddings.
    """

    weights: int
    multiply_adds: int


def of(model: nn.Module, shape: tuple[int, ...], batch_size: int) -> Cost:
    """The cost of a model on any device, which stays as it is; one on the meta device takes no memory.

    Args:
        model: of a family.
        shape: of one sample, as the family's `build` takes it.
        batch_size: samples in a step of training.
    """
    layers, activations = _passed(model, shape)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    values = sum(value.numel() for value in model.state_dict().values() if value.is_floating_point())
    return Cost(
        parameters=parameters,
        multiply_adds=sum(layer.multiply_adds for layer in layers.values()),
        values=values,
        memory=BYTES * (values + 2 * parameters + batch_size * activations),
    )


def by_layer(model: nn.Module, shape: tuple[int, ...]) -> dict[str, LayerCost]:
    """The cost of each layer with a weight, by its name in the chain, in order of execution; arguments as of `of`."""
    return _passed(model, shape)[0]


def sparse_bytes(values: int, existing: int) -> int:
    """Bytes of a tensor of which some values exist, in whichever encoding is smallest.

    Dense: 4 bytes a value. Bitmap: a bit a value, and 4 bytes for each that exists. Index: 8 bytes for each that
    exists, half of them for its place.

    Args:
        values: of the tensor.
        existing: those that a mask keeps.
    """
    assert 0 <= existing <= values
    return min(BYTES * values, math.ceil(values / 8) + BYTES * existing, 2 * BYTES * existing)


@torch.no_grad()
def _passed(model: nn.Module, shape: tuple[int, ...]) -> tuple[dict[str, LayerCost], int]:
    """What a forward pass of one sample shows: the layers, and values in the outputs of modules."""
    layers: dict[str, LayerCost] = {}
    activations = 0

    def layer_passed(name: str, module: nn.Module, output: Tensor) -> None:
        weight = module.get_parameter("weight")
        each = 0 if isinstance(module, nn.Embedding) else weight[0].numel()
        layers[name] = LayerCost(weight.numel(), each * output.numel())

    def module_passed(inputs: tuple[object, ...], output: Tensor) -> None:
        nonlocal activations
        is_new = output is not inputs[0] and output._base is None  # neither in place nor a view
        activations += output.numel() if is_new and output.is_floating_point() else 0

    twin = copy.deepcopy(model).to("meta").eval()
    for name, module in twin.named_modules():
        if isinstance(module, WEIGHTED):
            module.register_forward_hook(lambda module, _, output, name=name: layer_passed(name, module, output))
        if not list(module.children()):
            module.register_forward_hook(lambda _, inputs, output: module_passed(inputs, output))
    twin(_sample(twin, shape))
    return layers, activations


def _sample(model: nn.Module, shape: tuple[int, ...]) -> Tensor | Mapping[str, Tensor]:
    """A batch of one sample of what the model reads, without values: clicks, code points or numbers."""
    modules = tuple(model.modules())
    if any(isinstance(module, Rows) for module in modules):
        dense, *tables = shape
        sparse = torch.empty((1, len(tables)), dtype=torch.int64, device="meta")
        return {"dense": torch.empty((1, dense), device="meta"), "sparse": sparse}
    codes = any(isinstance(module, Symbols) for module in modules)
    return torch.empty((1, *shape), dtype=torch.int64 if codes else torch.float32, device="meta")
