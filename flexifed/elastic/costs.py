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


def of(model: nn.Module, shape: tuple[int, ...], batch_size: int) -> Cost:
    """The cost of a model on any device, which stays as it is; one on the meta device takes no memory.

    Args:
        model: of a family.
        shape: of one sample, as the family's `build` takes it.
        batch_size: samples in a step of training.
    """
    multiply_adds, activations = _passed(model, shape)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    values = sum(value.numel() for value in model.state_dict().values() if value.is_floating_point())
    return Cost(
        parameters=parameters,
        multiply_adds=multiply_adds,
        values=values,
        memory=BYTES * (values + 2 * parameters + batch_size * activations),
    )


def mask_bytes(values: int, existing: int) -> int:
    """Bytes that say which values of a model exist, as a bitmap or as indices, whichever is smaller.

    They are sent once; from then on a round needs four bytes for each value that exists.

    Args:
        values: of the model.
        existing: those that its masks keep.
    """
    return min(math.ceil(values / 8), BYTES * existing)


@torch.no_grad()
def _passed(model: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """What a forward pass of one sample shows: multiply-adds, and values in the outputs of modules."""
    multiply_adds = activations = 0

    def layer_passed(module: nn.Module, inputs: tuple[object, ...], output: Tensor) -> None:
        nonlocal multiply_adds
        if not isinstance(module, nn.Embedding):
            multiply_adds += module.get_parameter("weight")[0].numel() * output.numel()

    def module_passed(inputs: tuple[object, ...], output: Tensor) -> None:
        nonlocal activations
        is_new = output is not inputs[0] and output._base is None  # neither in place nor a view
        activations += output.numel() if is_new and output.is_floating_point() else 0

    twin = copy.deepcopy(model).to("meta").eval()
    for module in twin.modules():
        if isinstance(module, WEIGHTED):
            module.register_forward_hook(layer_passed)
        if not list(module.children()):
            module.register_forward_hook(lambda _, inputs, output: module_passed(inputs, output))
    twin(_sample(twin, shape))
    return multiply_adds, activations


def _sample(model: nn.Module, shape: tuple[int, ...]) -> Tensor | Mapping[str, Tensor]:
    """A batch of one sample of what the model reads, without values: clicks, code points or numbers."""
    modules = tuple(model.modules())
    if any(isinstance(module, Rows) for module in modules):
        dense, *tables = shape
        sparse = torch.empty((1, len(tables)), dtype=torch.int64, device="meta")
        return {"dense": torch.empty((1, dense), device="meta"), "sparse": sparse}
    codes = any(isinstance(module, Symbols) for module in modules)
    return torch.empty((1, *shape), dtype=torch.int64 if codes else torch.float32, device="meta")
