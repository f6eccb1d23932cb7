"""A model as a chain of layers, each with a signature that says what can be averaged with what.

A layer is a weight layer (convolution, linear, embedding) together with the normalisation that follows it.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Linear, nn.Embedding)
NORMALISATION = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
OPTIONS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}  # with the values that go without saying

Role = Literal["base", "classifier"]


@dataclass(frozen=True)
class Layer:
    """One layer of a chain; the three tuples hold keys of the model's `state_dict`, in a fixed order."""

    name: str
    """Path of the weight layer in the model, e.g. `stage2.block1.conv1`."""
    signature: str
    """Kind, shapes of all tensors, structural options; not the pooling around it. Equal means: can be averaged."""
    role: Role
    """`classifier` for fully connected layers behind the last layer of another kind; in an MLP for the last alone."""
    weights: tuple[str, ...]
    """Weight and bias."""
    normalisation: tuple[str, ...]
    """Floating-point tensors of the normalisation: weight, bias, running mean, running variance."""
    counters: tuple[str, ...]
    """Integer buffers, which always stay with their client."""


Chain = tuple[Layer, ...]


def chain(model: nn.Module) -> Chain:
    """The layers of a model in order of execution, which must be the order in which its modules are registered.

    Works on the meta device. Every entry of the model's `state_dict` belongs to exactly one layer.
    """
    groups: list[list[tuple[str, nn.Module]]] = []
    for name, module in model.named_modules():
        if isinstance(module, WEIGHTED):
            groups.append([(name, module)])
        elif isinstance(module, NORMALISATION):
            assert groups and len(groups[-1]) == 1, f"{name} follows no weight layer"
            groups[-1].append((name, module))
    base = _base([group[0][1] for group in groups])
    layers = tuple(_layer(group, "base" if i < base else "classifier") for i, group in enumerate(groups))
    keys = [key for layer in layers for key in (*layer.weights, *layer.normalisation, *layer.counters)]
    assert sorted(keys) == sorted(model.state_dict()), "a state_dict entry belongs to no layer"
    return layers


def _base(modules: list[nn.Module]) -> int:
    """How many weight layers come before the classifier.

    A model of fully connected layers alone would be all classifier, and its versions would have nothing to share.
    """
    others = [place for place, module in enumerate(modules, 1) if not isinstance(module, nn.Linear)]
    return others[-1] if others else len(modules) - 1


def _layer(group: list[tuple[str, nn.Module]], role: Role) -> Layer:
    (name, module), *normalisations = group
    normalisation = {k: v for path, norm in normalisations for k, v in _tensors(path, norm).items()}
    return Layer(
        name=name,
        signature=" + ".join(_signature(module) for _, module in group),
        role=role,
        weights=tuple(_tensors(name, module)),
        normalisation=tuple(k for k, v in normalisation.items() if v.is_floating_point()),
        counters=tuple(k for k, v in normalisation.items() if not v.is_floating_point()),
    )


def _tensors(name: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for key, value in module.state_dict().items()}


def _signature(module: nn.Module) -> str:
    shapes = [f"{k} {'x'.join(map(str, v.shape))}" for k, v in module.state_dict().items() if v.is_floating_point()]
    options = []
    for option, usual in OPTIONS.items():
        value = getattr(module, option, usual)
        values = set(value) if isinstance(value, tuple) else {value}
        if values != {usual}:
            options.append(f"{option} {value if len(values) > 1 else values.pop()}")
    return f"{type(module).__name__}({', '.join(shapes + options)})"
