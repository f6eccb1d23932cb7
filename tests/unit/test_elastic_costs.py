"""What models cost, against PyTorch's own counters and by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from flexifed import models
from flexifed.elastic import costs
from flexifed.settings import registry
from flexifed.settings.rng import torch_stream
from flexifed.sharing import planning

MODELS = [(f, v) for f in registry.names("family") for v in registry.constant("family", f, "VERSIONS")]
PRODUCTS = {"dlrm": 3 * 3 * 16}
"""Multiply-adds of activations with each other: DLRM's of three vectors of 16."""


def built(family: str, version: str) -> tuple[nn.Module, tuple[int, ...]]:
    kind = registry.constant("family", family, "KIND")
    shape = planning.SHAPES[kind]
    return models.build_meta(family, version, shape, planning.CLASSES[kind], {}), shape


def samples(family: str, shape: tuple[int, ...], n: int) -> Tensor | dict[str, Tensor]:
    kind = registry.constant("family", family, "KIND")
    if kind == "click":
        return {"dense": torch.zeros(n, shape[0]), "sparse": torch.zeros((n, len(shape) - 1), dtype=torch.int64)}
    return torch.full((n, *shape), 97) if kind == "text" else torch.zeros(n, *shape)


@pytest.mark.parametrize(("family", "version"), MODELS)
def test_multiply_adds_are_half_of_pytorchs_operations(family: str, version: str) -> None:
    model, shape = built(family, version)
    empty = model._apply(lambda tensor: torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else tensor)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        empty.eval()(samples(family, shape, 1))
    expected = counter.get_total_flops() - 2 * PRODUCTS.get(family, 0)
    assert 2 * costs.of(model, shape, 1).multiply_adds == expected > 0


def test_by_hand() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),  # 8 x 8 pixels to 4 x 4
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(64, 5),
    )
    parameters, statistics = 72 + 4 + 8 + 320 + 5, 8
    activations = 64 + 64 + 5  # of the convolution, the normalisation and the linear layer
    assert costs.of(model, (2, 8, 8), 10) == costs.Cost(
        parameters=parameters,
        multiply_adds=72 * 16 + 320,
        values=parameters + statistics,
        memory=4 * (3 * parameters + statistics + 10 * activations),
    )


def test_convolutions_in_groups_and_of_one_dimension() -> None:
    grouped = nn.Sequential(nn.Conv1d(4, 6, 5, groups=2))  # 12 places to 8
    assert costs.of(grouped, (4, 12), 1).multiply_adds == 60 * 8


def test_resnet20_takes_the_41_million_of_the_literature() -> None:
    model, shape = built("resnet", "V1")
    assert costs.of(model, shape, 1).multiply_adds == 40_813_184


def saved(model: nn.Module, x: Tensor | dict[str, Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass, but for parameters and the input."""
    inputs = x.values() if isinstance(x, dict) else [x]
    known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers(), *inputs)}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    unpack: Callable[[Tensor], Tensor] = lambda tensor: tensor  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        output = model(x)
    assert output.requires_grad
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in known)


@pytest.mark.parametrize(
    ("family", "width"), [("vgg", 0.25), ("resnet", 1), ("vdcnn", 0.25), ("conv", 0.5), ("cnn", 1)]
)
def test_memory_is_an_estimate_of_what_autograd_keeps(family: str, width: float) -> None:
    kind = registry.constant("family", family, "KIND")
    shape, n = planning.SHAPES[kind], 8
    model = models.build(family, "V2", shape, 10, {"width": width}, torch_stream(0, "test"))
    models.set_generator(model, torch_stream(0, "dropout"))
    one, many = (costs.of(model, shape, size).memory for size in (0, n))
    assert 0.7 < (many - one) / saved(model, samples(family, shape, n)) < 1.02


def test_a_model_stays_as_it_is() -> None:
    model = models.build("conv", "V1", (1, 28, 28), 10, {"width": 0.1}, torch_stream(0, "test"))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    costs.of(model, (1, 28, 28), 1)
    assert model.training and not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("values", "existing", "expected"),
    [
        (1000, 1000, 125),  # bitmap
        (1000, 32, 125),  # bitmap: 128 with indices
        (1000, 31, 124),  # indices
        (3, 3, 1),  # the bits of three values take a byte
        (1000, 0, 0),
    ],
)
def test_bytes_of_a_mask(values: int, existing: int, expected: int) -> None:
    assert costs.mask_bytes(values, existing) == expected
