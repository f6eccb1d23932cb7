"""Nested masks of a model: which of its weights are left after each round of pruning. In memory and as a file.

Prunable are the weights of convolutions and linear layers: no bias, no tensor of a normalisation (its scales are called
`weight`, too), no embedding.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from flexifed.system import files
from flexifed.system.errors import UserError
from flexifed.training import tensorfile, weights
from flexifed.training.weights import Layout, Weights

PRUNABLE = (nn.Conv1d, nn.Conv2d, nn.Linear)


def prunable(model: nn.Module) -> dict[str, torch.Size]:
    """Shapes of a model's prunable weights by their keys in its `state_dict`, in order; values are not read."""
    found = {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, PRUNABLE)}
    return {key: module.weight.shape for key, module in found.items()}


def nothing_removed(shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The rounds that removed values (`Masks.removed`) before any round."""
    return {key: torch.zeros(shape, dtype=torch.uint8) for key, shape in shapes.items()}


@dataclass(frozen=True)
class Masks:
    """What pruning has removed of one model, the largest version of a family, round by round.

    Attributes:
        family: registered name.
        version: of the family.
        removed: by the key of each prunable weight, uint8 of its shape: the round that removed the value, from 1; 0
            where it is left after the last round.
        accuracies: on held-out proxy samples, a fraction of 1, before the first round and after each.
    """

    family: str
    version: str
    removed: Mapping[str, Tensor]
    accuracies: tuple[float, ...]

    @property
    def rounds(self) -> int:
        """How many rounds of pruning there were."""
        return len(self.accuracies) - 1

    @cached_property
    def sparsities(self) -> tuple[float, ...]:
        """The share of the prunable values that is removed after round 0, 1, ..., as they were counted."""
        counts = sum(torch.bincount(one.flatten(), minlength=self.rounds + 1) for one in self.removed.values())
        assert isinstance(counts, Tensor)
        gone = counts.index_fill(0, torch.tensor(0), 0).cumsum(0)
        return tuple(count / int(counts.sum()) for count in gone.tolist())

    def kept_after(self, round_number: int) -> dict[str, Tensor]:
        """By key, true where a value is left after a round; those of a later round are true nowhere else."""
        return {key: (one == 0) | (one > round_number) for key, one in self.removed.items()}


def as_weights(kept: Mapping[str, Tensor], layout: Layout, device: torch.device) -> Weights:
    """Masks laid out as a model's numbers: 0.0 where a mask is false, 1.0 in all else, as `Federation.masks` has them.

    Args:
        kept: bool, by key.
        layout: of a model that has weights of these shapes.
        device: where to.
    """
    (found,) = weights.allocate([layout], device)
    found.values.fill_(1)
    state = found.state()
    for key, mask in kept.items():
        assert state[key].shape == mask.shape, f"{key}: mask {mask.shape}, weight {state[key].shape}"
        state[key].copy_(mask)
    return found


def write(masks: Masks, path: Path) -> None:
    """Write masks as a safetensors file, complete or not at all; equal masks give equal bytes.

    Raises:
        UserError: the file system refuses.
    """
    described = {
        "family": masks.family,
        "version": masks.version,
        "sparsities": json.dumps(masks.sparsities),
        "accuracies": json.dumps(masks.accuracies),
    }
    with files.complete(path) as partial, partial.open("wb") as stream:
        tensorfile.write(stream, dict(sorted(masks.removed.items())), described)


def read(path: Path, family: str, version: str, shapes: Mapping[str, torch.Size]) -> Masks:
    """Read the masks of a model.

    Args:
        path: what `write` wrote.
        family: whose they are to be.
        version: likewise.
        shapes: of the model's prunable weights, see `prunable`.

    Raises:
        UserError: there is no such file, it is damaged, or it holds masks of another family, version or shape.
    """
    removed = nothing_removed(shapes)
    try:
        described = tensorfile.read_metadata(path)
        found = f"{described['family']} {described['version']}"
        accuracies = tuple(json.loads(described["accuracies"]))
        sparsities = tuple(json.loads(described["sparsities"]))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged, or not a file of masks ({error!r}). Remove it and prune again.") from error
    if found != f"{family} {version}":
        raise UserError(f"{path} holds masks of {found}, not of {family} {version}. Remove it and prune again.")
    try:
        tensorfile.read_into(path, removed)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not fit {family} {version} as it is built here: {error}. Give the family the options and the "
            "data set that it was pruned with, or remove the file and prune again."
        ) from error
    masks = Masks(family, version, removed, accuracies)
    if masks.sparsities != sparsities:
        raise UserError(f"{path} is damaged: it says sparsities {sparsities} and holds others. Remove it, prune again.")
    return masks
