"""Where the layers of smaller members lie, against what can be read from the models themselves."""

from collections import Counter

import pytest
from torch import nn

from flexifed import models
from flexifed.settings import registry
from flexifed.sharing import planning
from flexifed.sharing.layers import chain
from flexifed.sharing.places import nested, places
from flexifed.system.errors import UserError

SINGLE = [f for f in registry.names("family") if len(registry.constant("family", f, "VERSIONS")) == 1]
MEMBERS = [(f, v) for f in (*nested(), *SINGLE) for v in registry.constant("family", f, "VERSIONS")]
LARGER_IN_SHALLOW = {"charcnn": {"fc1"}, "conv": {"fc1"}}
"""Layers with more inputs in a shallow version than in the largest one."""


def built(family: str, version: str) -> nn.Module:
    kind = registry.constant("family", family, "KIND")
    return models.build_meta(family, version, planning.SHAPES[kind], planning.CLASSES[kind], {})


def largest(family: str) -> nn.Module:
    return built(family, registry.constant("family", family, "VERSIONS")[-1])


def names(model: nn.Module) -> list[str]:
    return [layer.name for layer in chain(model)]


def found(family: str, version: str) -> tuple[str, ...]:
    return places(family, version, names(built(family, version)))


@pytest.mark.parametrize(("family", "version"), MEMBERS)
def test_places_are_distinct_layers_of_the_largest_version_in_order(family: str, version: str) -> None:
    order = names(largest(family))
    rows = [order.index(name) for name in found(family, version)]
    assert rows == sorted(set(rows))


@pytest.mark.parametrize(("family", "version"), MEMBERS)
def test_a_layer_is_of_the_kind_and_of_at_most_the_size_of_its_place(family: str, version: str) -> None:
    small, large = built(family, version), largest(family)
    larger = set()
    for layer, place in zip(names(small), found(family, version), strict=True):
        ours, theirs = small.get_submodule(layer), large.get_submodule(place)
        assert type(ours) is type(theirs)
        assert getattr(ours, "kernel_size", None) == getattr(theirs, "kernel_size", None)
        sizes = zip(ours.get_parameter("weight").shape, theirs.get_parameter("weight").shape, strict=True)
        if any(a > b for a, b in sizes):
            larger.add(layer)
    assert larger <= LARGER_IN_SHALLOW.get(family, set())


@pytest.mark.parametrize(("family", "version"), MEMBERS)
def test_the_largest_version_is_its_own_place(family: str, version: str) -> None:
    if version == registry.constant("family", family, "VERSIONS")[-1]:
        assert found(family, version) == tuple(names(built(family, version)))


def by_stage(model: nn.Module) -> dict[tuple[int, int], str]:
    """Convolutions by the pools before them, and by those since the last pool."""
    stages: list[list[str]] = [[]]
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            stages[-1].append(name)
        if isinstance(module, nn.MaxPool2d):
            stages.append([])
    return {(stage, i): name for stage, layers in enumerate(stages) for i, name in enumerate(layers)}


@pytest.mark.parametrize("version", ["V1", "V2", "V3"])
def test_vgg_by_its_pools(version: str) -> None:
    ours, theirs = by_stage(built("vgg", version)), by_stage(largest("vgg"))
    expected = [theirs[place] for place in ours]
    assert len(expected) == {"V1": 8, "V2": 10, "V3": 13}[version]
    assert found("vgg", version) == (*expected, "fc1", "fc2", "fc3")


def test_vgg11_by_hand() -> None:
    convolutions = ("conv1", "conv3", "conv5", "conv6", "conv9", "conv10", "conv13", "conv14")
    assert found("vgg", "V1") == (*convolutions, "fc1", "fc2", "fc3")


def by_size(model: nn.Module) -> dict[tuple[int, int, int], str]:
    """Layers by channels out, kernel, and how many of these came before."""
    seen: Counter[tuple[int, int]] = Counter()
    layers = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            kind = (module.out_channels, module.kernel_size[0])
            layers[(*kind, seen[kind])] = name
            seen[kind] += 1
    return layers


@pytest.mark.parametrize("version", ["V1", "V2", "V3"])
def test_resnet_by_its_channels(version: str) -> None:
    ours, theirs = by_size(built("resnet", version)), by_size(largest("resnet"))
    assert found("resnet", version) == (*(theirs[place] for place in ours), "fc")


def test_charcnn_ends_with_its_last_convolution() -> None:
    assert found("charcnn", "V2") == ("conv1", "conv2", "conv3", "conv6", "fc1", "fc2", "fc3")


def test_unrelated_versions_are_refused() -> None:
    with pytest.raises(UserError, match=r"'cnn' has no smaller members: .* V1, V2, V3 are unrelated .* vdcnn, vgg\."):
        places("cnn", "V1", ["conv1"])


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown version of family 'vgg' 'V5'.*Known: V1, V2, V3, V4"):
        places("vgg", "V5", ["conv1"])


def test_families_with_smaller_members() -> None:
    assert {"vgg", "resnet", "charcnn", "vdcnn", "mlp", "conv"} <= set(nested())
    assert not {"cnn", "logistic", "dlrm"} & set(nested())
