"""Masks: which weights they are of, that they are nested, and their file."""

import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from flexifed import models
from flexifed.elastic import masks
from flexifed.elastic.masks import Masks
from flexifed.settings import registry
from flexifed.sharing import planning
from flexifed.sharing.layers import chain
from flexifed.system.errors import UserError
from flexifed.training import weights
from tests.unit import federations

REMOVED = {
    "b.weight": torch.tensor([[1, 0], [2, 0], [3, 1]], dtype=torch.uint8),
    "a.weight": torch.tensor([[0, 2]], dtype=torch.uint8),
}
MASKS = Masks("mlp", "V4", REMOVED, (0.9, 0.8, 0.85, 0.7))
SHAPES = {key: one.shape for key, one in REMOVED.items()}


def built(family: str) -> nn.Module:
    kind = registry.constant("family", family, "KIND")
    version = registry.constant("family", family, "VERSIONS")[-1]
    classes = 2 if kind == "click" else 10
    return models.build_meta(family, version, planning.SHAPES[kind], classes, federations.family_options(family))


@pytest.mark.parametrize("family", registry.names("family"))
def test_prunable_are_the_weights_of_convolutions_and_linear_layers(family: str) -> None:
    model = built(family)
    found = masks.prunable(model)
    state = model.state_dict()
    assert found == {key: state[key].shape for key in found}
    others = {key for key in state if key not in found}
    kinds = {key: type(model.get_submodule(key.rpartition(".")[0])).__name__ for key in state}
    assert {kinds[key] for key in found} <= {"Conv1d", "Conv2d", "Linear"}
    weighted = ("Conv1d", "Conv2d", "Linear")
    assert not [key for key in others if kinds[key] in weighted and not key.endswith(".bias")]


def test_a_search_for_the_name_would_find_scales_and_embeddings() -> None:
    for family, key in (("vgg", "norm1.weight"), ("dlrm", "user.weight")):
        model = built(family)
        named = {name for name in model.state_dict() if "weight" in name}
        more = named - set(masks.prunable(model))
        assert more, f"{family} has {key} and the like"
        modules = [model.get_submodule(name.rpartition(".")[0]) for name in more]
        assert all(isinstance(module, nn.BatchNorm2d | nn.Embedding) for module in modules)


def test_masks_are_nested_and_sparsities_are_counted() -> None:
    assert MASKS.rounds == 3
    assert MASKS.sparsities == (0.0, 2 / 8, 4 / 8, 5 / 8)
    for number, sparsity in enumerate(MASKS.sparsities):
        kept = torch.cat([one.flatten() for one in MASKS.kept_after(number).values()])
        assert 1 - kept.double().mean() == sparsity
        if number:
            earlier = torch.cat([one.flatten() for one in MASKS.kept_after(number - 1).values()])
            assert (earlier | ~kept).all() and not torch.equal(earlier, kept)


def test_as_weights_is_zero_where_a_mask_is_and_one_in_all_else() -> None:
    model = models.build("mlp", "V1", (1, 2, 2), 3, {"width": 0.01}, torch.Generator())
    layout = weights.layout(model, chain(model))
    kept = {key: torch.zeros(shape, dtype=torch.bool) for key, shape in masks.prunable(model).items()}
    kept["fc1.weight"][0, 1] = True
    state = masks.as_weights(kept, layout, torch.device("cpu")).state()
    assert state["fc1.weight"].sum() == state["fc1.weight"][0, 1] == 1 and not state["output.weight"].any()
    assert all((state[key] == 1).all() for key in state if key.endswith("bias"))


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    masks.write(MASKS, tmp_path / "masks.safetensors")
    found = masks.read(tmp_path / "masks.safetensors", "mlp", "V4", SHAPES)
    assert (found.family, found.version, found.accuracies) == ("mlp", "V4", MASKS.accuracies)
    assert found.sparsities == MASKS.sparsities
    assert list(found.removed) == list(SHAPES) and all(torch.equal(found.removed[key], REMOVED[key]) for key in REMOVED)
    theirs = safetensors.torch.load_file(tmp_path / "masks.safetensors")
    assert all(torch.equal(theirs[key], REMOVED[key]) for key in REMOVED)


def test_equal_masks_are_equal_bytes(tmp_path: Path) -> None:
    masks.write(MASKS, tmp_path / "one")
    masks.write(dataclasses.replace(MASKS, removed=dict(reversed(REMOVED.items()))), tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


@pytest.mark.parametrize(
    ("family", "version", "shapes", "said"),
    [
        ("vgg", "V4", SHAPES, "holds masks of mlp V4, not of vgg V4. Remove it and prune again"),
        ("mlp", "V3", SHAPES, "holds masks of mlp V4, not of mlp V3"),
        ("mlp", "V4", SHAPES | {"a.weight": torch.Size((1, 3))}, r"does not fit .* a.weight is U8 \[1, 2\]"),
        ("mlp", "V4", {"a.weight": torch.Size((1, 2))}, "holds 2 tensors, not the 1 expected. Give the family"),
    ],
)
def test_masks_of_another_model_are_refused(
    tmp_path: Path, family: str, version: str, shapes: dict[str, torch.Size], said: str
) -> None:
    masks.write(MASKS, tmp_path / "masks")
    with pytest.raises(UserError, match=said):
        masks.read(tmp_path / "masks", family, version, shapes)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    with pytest.raises(UserError, match="No such file"):
        masks.read(path, "mlp", "V4", SHAPES)
    masks.write(MASKS, path)
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"(?i)damaged|does not fit"):
            masks.read(path, "mlp", "V4", SHAPES)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match="is damaged: it says sparsities"):
        masks.read(path, "mlp", "V4", SHAPES)
