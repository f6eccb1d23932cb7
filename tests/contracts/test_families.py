"""What every family must keep, in all versions: its name's layer count, its chain, its numbers, its randomness."""

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flexifed import models
from flexifed.settings import registry
from flexifed.settings.rng import torch_stream
from flexifed.sharing import planning
from flexifed.sharing.layers import NORMALISATION, WEIGHTED, Chain, chain
from flexifed.training import parts
from tests.unit import federations

FAMILIES = registry.names("family")
MODELS = [(f, v) for f in FAMILIES for v in registry.constant("family", f, "VERSIONS")]
CLASSES = {"image": 10, "text": 4, "vector": 10, "click": 2}
LEARNT = {"image": 4, "text": 4, "vector": 4, "click": 2}
"""Classes of the four samples, of which each is of the next class, by kind."""
SHAPES = {"image": (3, 32, 32), "text": (128,), "vector": (60,), "click": (10, 3, 3)}
"""What models of the four samples are built for."""

# Per family and version: trainable parameters, float buffers, convolutions (of an MLP: hidden layers), those in common
# with V1..V4, values that Basic-Common averages, values of the widest sharing across versions under Max-Common.
# Computed by hand from the definitions (authors' code, reproductions). CharCNN's counts include its frozen 71 x 70
# table of one-hot vectors.
NUMBERS = {
    ("vgg", "V1"): (28_149_514, 5_504, 8, (8, 1, 1, 1), 2_048, 2_048),
    ("vgg", "V2"): (28_334_410, 5_888, 10, (1, 10, 6, 6), 2_048, 1_148_992),
    ("vgg", "V3"): (33_646_666, 8_448, 13, (1, 6, 13, 7), 2_048, 1_740_096),
    ("vgg", "V4"): (38_958_922, 11_008, 16, (1, 6, 7, 16), 2_048, 1_740_096),
    ("resnet", "V1"): (272_474, 1_568, 19, (19, 7, 7, 7), 14_704, 14_704),
    ("resnet", "V2"): (466_906, 2_464, 31, (7, 31, 11, 11), 14_704, 24_176),
    ("resnet", "V3"): (661_338, 3_360, 43, (7, 11, 43, 15), 14_704, 33_648),
    ("resnet", "V4"): (855_770, 4_256, 55, (7, 11, 15, 55), 14_704, 33_648),
    ("charcnn", "V1"): (11_274_500, 5_994, 3, (3, 2, 2, 2), 591_722, 591_722),
    ("charcnn", "V2"): (11_209_732, 6_506, 4, (2, 4, 3, 3), 591_722, 789_610),
    ("charcnn", "V3"): (11_144_964, 7_018, 5, (2, 3, 5, 4), 591_722, 987_498),
    ("charcnn", "V4"): (11_342_340, 7_530, 6, (2, 3, 4, 6), 591_722, 987_498),
    ("vdcnn", "V1"): (14_351_892, 5_632, 9, (9, 3, 3, 3), 29_456, 29_456),
    ("vdcnn", "V2"): (16_446_612, 9_472, 17, (3, 17, 5, 5), 29_456, 54_672),
    ("vdcnn", "V3"): (16_818_708, 11_776, 29, (3, 5, 29, 11), 29_456, 130_320),
    ("vdcnn", "V4"): (19_950_996, 19_200, 49, (3, 5, 11, 49), 29_456, 130_320),
    ("cnn", "V1"): (31_340, 0, 2, (2, 0, 0), 0, 0),
    ("cnn", "V2"): (2_156_490, 0, 2, (0, 2, 0), 0, 0),
    ("cnn", "V3"): (62_006, 0, 2, (0, 0, 2), 0, 0),
    ("conv", "V1"): (4_301_642, 0, 2, (2, 2, 2, 2), 38_720, 38_720),
    ("conv", "V2"): (2_425_930, 0, 4, (2, 4, 4, 4), 38_720, 260_160),
    ("conv", "V3"): (2_262_602, 0, 6, (2, 4, 6, 6), 38_720, 1_145_408),
    ("conv", "V4"): (5_278_282, 0, 8, (2, 4, 6, 8), 38_720, 1_145_408),
    ("resnet18", "V1"): (11_181_642, 9_600, 17, (17,), 11_191_242, 0),
    ("resnet18_pretrained", "V1"): (11_181_642, 9_600, 17, (17,), 11_191_242, 0),
    ("logistic", "V1"): (610, 0, 0, (0,), 610, 0),
    ("dlrm", "V1"): (152_175, 0, 0, (0,), 152_175, 0),
    ("mlp", "V1"): (616_610, 0, 1, (1, 1, 1, 1), 614_600, 614_600),
    ("mlp", "V2"): (656_810, 0, 2, (1, 2, 2, 2), 614_600, 654_800),
    ("mlp", "V3"): (697_010, 0, 3, (1, 2, 3, 3), 614_600, 695_000),
    ("mlp", "V4"): (737_210, 0, 4, (1, 2, 3, 4), 614_600, 695_000),
}
COUNTED = dict.fromkeys(family for family, _ in NUMBERS)
FROZEN = {"charcnn": 71 * 70}


WIDTHS = {"cnn": 1.0}  # a channel or two learn nothing; all others are tenths


def versions(family: str) -> tuple[str, ...]:
    known: tuple[str, ...] = registry.constant("family", family, "VERSIONS")
    return known


def two_each(family: str) -> tuple[str, ...]:
    """Two clients of every version."""
    return tuple(version for version in versions(family) for _ in range(2))


def full(family: str, version: str) -> nn.Module:
    """The model of the paper, without values."""
    kind = kind_of(family)
    return models.build_meta(family, version, planning.SHAPES[kind], CLASSES[kind], {})


def small(family: str, version: str, seed: int = 0) -> nn.Module:
    """A narrow model with values, in training mode."""
    kind = kind_of(family)
    options = federations.family_options(family, WIDTHS.get(family, 0.1), channels=3)
    model = models.build(family, version, SHAPES[kind], LEARNT[kind], options, torch_stream(seed, "test"))
    models.set_generator(model, torch_stream(seed, "dropout"))
    return model


def kind_of(family: str) -> str:
    kind: str = registry.constant("family", family, "KIND")
    return kind


def samples(family: str) -> Any:
    """Four samples; texts are cut short, which no convolution notices."""
    generator, kind = torch_stream(0, "samples"), kind_of(family)
    if kind == "text":
        return torch.randint(32, 127, (4, 128), generator=generator)
    if kind == "click":
        dense = torch.randn(4, 10, generator=generator)
        return {"dense": dense, "sparse": torch.tensor([[0, 0], [1, 1], [2, 0], [1, 2]])}
    return torch.randn(4, *SHAPES[kind], generator=generator)


def loss_of(family: str, outputs: Tensor) -> Tensor:
    """Of the four samples."""
    task = registry.load("task", {"click": "click_through"}.get(kind_of(family), "classification")).TASK
    found: Tensor = task.loss(outputs, torch.arange(4) % LEARNT[kind_of(family)])
    return found


def hidden(layers: Chain) -> list[str]:
    """Signatures of the convolutions or, in an MLP, the hidden layers; no embeddings, no projections of shortcuts."""
    base = [layer for layer in layers if layer.role == "base" and "shortcut" not in layer.name]
    return [layer.signature for layer in base if not layer.signature.startswith(("Embedding", "Rows"))]


def in_common(a: list[str], b: list[str]) -> int:
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def n_values(tensors: Mapping[str, Tensor] | Any) -> int:
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())


def test_every_version_of_every_family_has_its_numbers() -> None:
    assert sorted(NUMBERS) == sorted(MODELS), "count by hand, and enter the numbers in NUMBERS"


@pytest.mark.parametrize(("family", "version"), NUMBERS)
def test_sizes(family: str, version: str) -> None:
    model = full(family, version)
    assert n_values(model.parameters()) == NUMBERS[family, version][0]
    assert n_values(model.buffers()) == NUMBERS[family, version][1]
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("family", "version"), NUMBERS)
def test_hidden_layers_and_those_in_common(family: str, version: str) -> None:
    ours = hidden(chain(full(family, version)))
    theirs = [hidden(chain(full(family, other))) for other in versions(family)]
    assert len(ours) == NUMBERS[family, version][2]
    assert tuple(in_common(ours, other) for other in theirs) == NUMBERS[family, version][3]


def sent(family: str, strategy: str, classifier: str = "same_architecture") -> list[int]:
    """Values that each of eight clients sends in a round."""
    fleet = [full(family, version) for version in two_each(family)]
    chains = [chain(model) for model in fleet]
    made = planning.make(family, strategy, two_each(family), chains, classifier)
    return [n // 4 for n in parts.bytes_per_round(made, chains, [model.state_dict() for model in fleet])]


@pytest.mark.parametrize("family", COUNTED)
def test_values_sent_under_basic_common(family: str) -> None:
    expected = [NUMBERS[family, version][4] - FROZEN.get(family, 0) for version in two_each(family)]
    assert sent(family, "basic_common") == expected


@pytest.mark.parametrize("family", COUNTED)
def test_values_shared_across_versions_under_max_common(family: str) -> None:
    one_each = versions(family)  # one client per version, so that whatever is averaged is shared across versions
    fleet = [full(family, version) for version in one_each]
    chains = [chain(model) for model in fleet]
    made = planning.make(family, "max_common", one_each, chains, "same_architecture")
    values = [n // 4 for n in parts.bytes_per_round(made, chains, [model.state_dict() for model in fleet])]
    assert values == [NUMBERS[family, version][5] - FROZEN.get(family, 0) for version in one_each]


@pytest.mark.parametrize("strategy", ["clustered_fl", "clustered_common", "max_common"])
@pytest.mark.parametrize("family", COUNTED)
def test_values_sent_when_whole_models_are_averaged(family: str, strategy: str) -> None:
    expected = [sum(NUMBERS[family, version][:2]) - FROZEN.get(family, 0) for version in two_each(family)]
    assert sent(family, strategy) == expected


@pytest.mark.parametrize(("family", "version"), MODELS)
def test_number_of_layers_is_that_of_the_title(family: str, version: str) -> None:
    """Families count all of them but embeddings; CharCNN, VDCNN and Conv convolutions only."""
    titles = registry.constant("family", family, "TITLES")
    layers = chain(full(family, version))
    count = len(hidden(layers))
    if kind_of(family) != "text" and family != "conv":
        count += sum(layer.role == "classifier" for layer in layers)
    assert count == int(re.search(r"\d+$", titles[versions(family).index(version)])[0])


@pytest.mark.parametrize(("family", "version"), MODELS)
def test_chain_is_the_order_of_execution(family: str, version: str) -> None:
    model, executed = small(family, version), []
    for name, module in model.named_modules():
        if isinstance(module, (*WEIGHTED, *NORMALISATION)):
            module.register_forward_hook(lambda module, inputs, output, name=name: executed.append(name))
    logits = model(samples(family))
    assert logits.shape == (4, 1 if kind_of(family) == "click" else 4) and logits.dtype == torch.float32
    expected = []
    for layer in chain(model):
        expected.append(layer.name)
        if layer.normalisation:
            expected.append(layer.normalisation[0].removesuffix(".weight"))
    assert executed == expected


@pytest.mark.parametrize(("family", "version"), MODELS)
def test_every_entry_of_the_state_belongs_to_one_layer(family: str, version: str) -> None:
    model = full(family, version)
    state, layers = model.state_dict(), chain(model)
    keys = [key for layer in layers for key in (*layer.weights, *layer.normalisation, *layer.counters)]
    assert sorted(keys) == sorted(state)
    for layer in layers:
        assert all(state[key].is_floating_point() for key in (*layer.weights, *layer.normalisation))
        assert not any(state[key].is_floating_point() for key in layer.counters)


@pytest.mark.parametrize(("family", "version"), MODELS)
def test_building_draws_from_the_given_generator_only(family: str, version: str) -> None:
    before = torch.get_rng_state()
    first, again, other = (small(family, version, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[key], again[key]) for key in first)
    drawn = [key for key in first if key.endswith("weight") and "norm" not in key]
    if registry.constant("family", family, "WEIGHTS", ""):
        drawn = ["fc.weight"]  # the rest is of a file
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


@pytest.mark.parametrize(("family", "version"), MODELS)
def test_initialise_sets_every_entry(family: str, version: str) -> None:
    model = small(family, version)
    expected = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    for tensor in model.state_dict().values():
        tensor.fill_(torch.nan if tensor.is_floating_point() else 99)
    registry.load("family", family).initialise(model, torch_stream(0, "test"))
    assert all(torch.equal(tensor, expected[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(("family", "version"), MODELS)
def test_gradients_reach_every_parameter(family: str, version: str) -> None:
    model = small(family, version)
    loss_of(family, model(samples(family))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.ndim == 1 or parameter.grad.abs().max() > 0, name  # a bias before batch norm has none


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_learns(family: str) -> None:
    """Eighty steps on four samples with the authors' optimiser halve the loss of chance, the log of the classes."""
    model = small(family, "V1")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    x = samples(family)
    for _ in range(80):
        loss = loss_of(family, model(x))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss_of(family, model.eval()(x)) < math.log(LEARNT[kind_of(family)]) / 2


@pytest.mark.parametrize("width", [0.01, 0.1, 0.25, 0.3, 2.0])
@pytest.mark.parametrize("family", [f for f in FAMILIES if "width" in registry.keywords("family", f)])
def test_width_changes_no_plan(family: str, width: float) -> None:
    wide, narrow = (
        planning.for_family(family, "max_common", versions=two_each(family), options=o) for o in ({}, {"width": width})
    )
    assert wide == narrow


@pytest.mark.parametrize("classifier", ["same_architecture", "all"])
@pytest.mark.parametrize("family", FAMILIES)
def test_shape_and_classes_change_no_plan(family: str, classifier: str) -> None:
    shape = {"image": (1, 64, 64), "click": (2, 9, 9)}.get(kind_of(family), (400,))
    classes = 2 if kind_of(family) == "click" else 35
    chains = [chain(models.build_meta(family, version, shape, classes, {})) for version in two_each(family)]
    made = planning.make(family, "max_common", two_each(family), chains, classifier)
    assert made == planning.for_family(family, "max_common", versions=two_each(family), classifier=classifier)
