"""Model families: one file each, four versions each, shallow to deep."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from flexifed.models._blocks import initialise_xavier, set_generator
from flexifed.settings import registry

__all__ = ["build", "build_empty", "build_meta", "set_generator"]


def build_meta(
    family: str, version: str, shape: tuple[int, ...], classes: int, options: Mapping[str, Any]
) -> nn.Module:
    """A model with shapes and no values, on the meta device: takes milliseconds and no memory.

    Args:
        family: A file of this folder.
        version: One of its `VERSIONS`.
        shape: Shape of one sample, (C, H, W) or (L,).
        classes: Number of outputs.
        options: The family's options: keyword-only parameters of its `build`.

    Raises:
        UserError: the family, the version or an option is not known, or the shape does not fit the family.
    """
    module = registry.load("family", family)
    if version not in module.VERSIONS:
        raise registry.unknown(f"version of family {family!r}", version, module.VERSIONS)
    registry.check_options("family", family, options)
    with torch.device("meta"):
        model: nn.Module = module.build(version, tuple(shape), classes, **options)
    return model


def build_empty(
    family: str, version: str, shape: tuple[int, ...], classes: int, options: Mapping[str, Any]
) -> nn.Module:
    """A model on the CPU, float32, whose weights are not set: for numbers from a file. Arguments and errors as there.

    See `build_meta`.
    """
    model = build_meta(family, version, shape, classes, options)
    model._apply(_on_cpu)
    return model


def build(
    family: str,
    version: str,
    shape: tuple[int, ...],
    classes: int,
    options: Mapping[str, Any],
    generator: torch.Generator,
) -> nn.Module:
    """A model on the CPU in training mode, float32; every initial value is drawn from `generator` alone.

    It is built on the meta device first, because PyTorch's constructors draw from the global generator. For arguments
    and errors see `build_meta`.
    """
    model = build_meta(family, version, shape, classes, options)
    model._apply(_on_cpu)
    registry.load("family", family).initialise(model, generator)
    if options.get("initial") == "xavier":
        initialise_xavier(model, generator)
    return model


def _on_cpu(tensor: Tensor) -> Tensor:
    # Not `empty_like`, which for a tensor on the meta device loads seconds of code.
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu") if tensor.is_meta else tensor
