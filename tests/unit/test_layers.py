"""Chains and signatures of small hand-made models."""

import pytest
import torch
from torch import nn

from flexifed.sharing.layers import Layer, chain


def test_a_layer_is_a_weight_layer_with_the_normalisation_that_follows_it() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    assert chain(model) == (
        Layer(
            name="0",
            signature="Conv2d(weight 8x3x3x3, bias 8, stride 2)"
            " + BatchNorm2d(weight 8, bias 8, running_mean 8, running_var 8)",
            role="base",
            weights=("0.weight", "0.bias"),
            normalisation=("1.weight", "1.bias", "1.running_mean", "1.running_var"),
            counters=("1.num_batches_tracked",),
        ),
        Layer(
            name="4",
            signature="Linear(weight 2x8, bias 2)",
            role="classifier",
            weights=("4.weight", "4.bias"),
            normalisation=(),
            counters=(),
        ),
    )


def signature(*modules: nn.Module) -> str:
    return chain(nn.Sequential(*modules))[0].signature


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(8, 8, 5),
        nn.Conv2d(8, 16, 3),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.Conv2d(8, 8, 3, stride=(1, 2)),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 8, 3, dilation=2),
        nn.Conv2d(8, 8, (3, 1)),
        nn.Conv2d(16, 8, 3, groups=2),
        nn.Conv1d(8, 8, 3),
    ],
    ids=str,
)
def test_structure_enters_the_signature(other: nn.Module) -> None:
    assert signature(other) != signature(nn.Conv2d(8, 8, 3))


def test_normalisation_enters_the_signature() -> None:
    conv = nn.Conv2d(8, 8, 3)
    kinds = [signature(conv), *(signature(conv, n) for n in (nn.BatchNorm2d(8), nn.GroupNorm(2, 8)))]
    assert len(set(kinds)) == 3


def test_pooling_and_activation_do_not_enter_the_signature() -> None:
    conv = nn.Conv2d(8, 8, 3)
    assert signature(conv) == signature(nn.MaxPool2d(2), conv, nn.ReLU(), nn.MaxPool2d(2))


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        ([nn.Conv2d(3, 8, 3), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)], "base classifier classifier"),
        ([nn.Linear(8, 8), nn.Conv1d(8, 8, 3), nn.Linear(8, 2)], "base base classifier"),
        ([nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1)], "base base"),
        ([nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8), nn.Linear(8, 2)], "base base classifier"),
        ([nn.Linear(8, 2)], "classifier"),
    ],
    ids=["behind a convolution", "around a convolution", "convolutions alone", "an MLP", "one layer"],
)
def test_the_classifier(modules: list[nn.Module], expected: str) -> None:
    assert " ".join(layer.role for layer in chain(nn.Sequential(*modules))) == expected


def test_a_chain_can_be_read_without_weights() -> None:
    with torch.device("meta"):
        on_meta = nn.Sequential(nn.Conv1d(5, 4, 3), nn.Linear(4, 2))
    assert chain(on_meta) == chain(nn.Sequential(nn.Conv1d(5, 4, 3), nn.Linear(4, 2)))


def test_a_tensor_outside_every_layer_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="belongs to no layer"):
        chain(nn.Sequential(nn.Linear(4, 2), nn.PReLU()))


def test_a_normalisation_without_a_weight_layer_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="0 follows no weight layer"):
        chain(nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)))
