"""Iterative magnitude pruning: one step against a plain one, and all rounds on small data."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from flexifed import models
from flexifed.data.parallel import Workers
from flexifed.data.samples import write
from flexifed.datasets import digits8
from flexifed.elastic import masks, pruning
from flexifed.elastic.masks import Masks
from flexifed.settings import rng
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Optimiser, Protocol, Pruning
from flexifed.system.errors import UserError
from flexifed.training import initial
from tests.unit import federations

CPU = torch.device("cpu")

# One step

VALUES = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 1e-30, 3.5])
LAYERS = st.lists(st.lists(VALUES, min_size=1, max_size=12), min_size=1, max_size=4)


def plain(layers: list[list[float]], removed: list[list[int]], number: int, fraction: float) -> list[list[int]]:
    """All layers together, value by value."""
    left = [(abs(v), i, j) for i, one in enumerate(layers) for j, v in enumerate(one) if not removed[i][j]]
    stays = {max(entry for entry in left if entry[1] == i)[1:] for i in range(len(layers))}
    goes = [place[1:] for place in sorted(left) if place[1:] not in stays][: round(fraction * len(left))]
    return [[number if (i, j) in goes else r for j, r in enumerate(one)] for i, one in enumerate(removed)]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(LAYERS, st.floats(0.01, 0.99), st.sampled_from(["layer", "global"]))
def test_every_step_removes_what_a_plain_one_does(layers: list[list[float]], fraction: float, scope: str) -> None:
    """Three rounds, each on the values left: nested, exact to one weight, with ties and zeros."""
    values = {f"{i}": torch.tensor(one) for i, one in enumerate(layers)}
    removed = {key: torch.zeros(one.shape, dtype=torch.uint8) for key, one in values.items()}
    for number in (1, 2, 3):
        before = [one.tolist() for one in removed.values()]
        removed = pruning.prune(values, removed, number=number, fraction=fraction, scope=scope)
        if scope == "global":
            expected = plain(layers, before, number, fraction)
        else:
            expected = [plain([v], [r], number, fraction)[0] for v, r in zip(layers, before, strict=True)]
        assert [one.tolist() for one in removed.values()] == expected


@settings(deadline=None, derandomize=True)
@given(st.integers(2, 400), st.integers(0, 400), st.floats(0.05, 0.6), st.sampled_from(["layer", "global"]))
def test_sparsity_is_exact_to_one_weight(size: int, zeros: int, fraction: float, scope: str) -> None:
    values = torch.randn(size, generator=torch.Generator().manual_seed(size))
    values[:zeros] = 0
    removed, left = {"w": torch.zeros(size, dtype=torch.uint8)}, size
    for number in range(1, 11):
        removed = pruning.prune({"w": values}, removed, number=number, fraction=fraction, scope=scope)
        left -= min(round(fraction * left), left - 1)
        assert int((removed["w"] == 0).sum()) == left


def one_step(weights: dict[str, Tensor], fraction: float, scope: str = "layer") -> dict[str, Tensor]:
    return pruning.prune(weights, empty(weights), number=1, fraction=fraction, scope=scope)


def empty(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: torch.zeros(one.shape, dtype=torch.uint8) for key, one in weights.items()}


def by_threshold(weights: dict[str, Tensor], fraction: float) -> dict[str, Tensor]:
    """As it is often written: a threshold, on whatever is called a weight. True where a value is kept."""
    found = {key: one.abs() for key, one in weights.items() if "weight" in key}
    return {key: one > torch.quantile(one, fraction) for key, one in found.items()}


def test_a_cut_at_zero_takes_no_more_than_its_share() -> None:
    weights = {"weight": torch.cat([torch.zeros(60), torch.arange(1.0, 41)])}
    assert int(by_threshold(weights, 0.2)["weight"].sum()) == 40, "it takes all zeros"
    (removed,) = one_step(weights, 0.2).values()
    assert removed.nonzero().squeeze(1).tolist() == list(range(20))


def test_of_ties_no_more_go_than_their_share() -> None:
    weights = {"weight": torch.full((10, 10), -0.5)}
    assert not by_threshold(weights, 0.2)["weight"].any(), "it takes everything"
    (removed,) = one_step(weights, 0.2).values()
    assert int(removed.sum()) == 20 and removed.flatten()[:20].all()


def test_scales_of_normalisations_are_left_alone() -> None:
    model = models.build("vgg", "V1", (1, 32, 32), 4, {"width": 1 / 16}, rng.torch_stream(0, "test"))
    state = dict(model.state_dict())
    assert not by_threshold(state, 0.2)["norm1.weight"].any(), "it takes every scale, all of which begin at one"
    removed = pruning.prune(state, masks.nothing_removed(masks.prunable(model)), number=1, fraction=0.2, scope="global")
    assert "norm1.weight" not in removed and "conv1.weight" in removed


def test_a_layer_of_small_weights_keeps_its_largest() -> None:
    weights = {"small": torch.tensor([1e-6, 3e-6, 3e-6]), "large": torch.tensor([1.0, 2, 3, 4, 5, 6, 7])}
    removed = one_step(weights, 0.5, "global")
    assert removed["small"].tolist() == [1, 1, 0], "of its equal ones the last"
    assert removed["large"].tolist() == [1, 1, 1, 0, 0, 0, 0], "five of ten went altogether"
    assert [one.tolist() for one in one_step(weights, 0.99, "global").values()] == [[1, 1, 0], [1] * 6 + [0]]


# All rounds

QUICK = Pruning(rounds=3, epochs=8, proxy=0.2)
OPTIONS = {"width": 0.3}
PROTOCOL = Protocol(clients=2, versions=("V1", "V4"), batch_size=16, optimiser=Optimiser(learning_rate=0.05))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 8 x 8 digits; with them a test split whose use would be found out."""
    folder = tmp_path_factory.mktemp("digits8")
    found = digits8.prepare(None, Workers(1, lambda *_: None))
    source = {"verified": True, "how": "bundled", "files": []}
    write(folder, found, dataset="digits8", kind="image", source=source, options={})
    (folder / "test.npy").unlink()
    return folder


def job(seed: int = 0, protocol: Protocol = PROTOCOL, strategy: str = "fedavg", engine: str = "fast") -> Job:
    return Job(Cell("digits8", "mlp", strategy, "quick", seed), protocol, OPTIONS, engine)


def made(folder: Path, prepared: Path, the_job: Job, quick: Pruning = QUICK) -> Masks:
    pruning.make_masks(the_job, prepared, quick, folder / "masks", CPU)
    model = models.build_meta("mlp", "V4", (1, 8, 8), 10, OPTIONS)
    return masks.read(folder / "masks", "mlp", "V4", masks.prunable(model))


@pytest.mark.parametrize(
    "quick", [QUICK, dataclasses.replace(QUICK, scope="global"), dataclasses.replace(QUICK, between="rewind")]
)
def test_digits_are_pruned_from_end_to_end(tmp_path: Path, prepared: Path, quick: Pruning) -> None:
    found = made(tmp_path, prepared, job(), quick)
    n = sum(one.numel() for one in found.removed.values())
    layers = len(found.removed)
    assert found.rounds == 3
    assert found.sparsities == pytest.approx([1 - 0.8**number for number in range(4)], abs=2 * layers / n)
    assert found.accuracies[0] > 0.6 and min(found.accuracies) > 0.5, "of ten classes, by four epochs at a time"
    shares = [float((one > 0).double().mean()) for one in found.removed.values()]
    assert (max(shares) - min(shares) < 0.02) == (quick.scope == "layer")


def test_the_same_seed_gives_the_same_bytes_whatever_the_strategy_and_the_engine(
    tmp_path: Path, prepared: Path
) -> None:
    jobs = {
        "first": job(),
        "second": job(strategy="standalone", engine="serial"),
        "of another seed": job(seed=1),
    }
    for name, one in jobs.items():
        pruning.make_masks(one, prepared, QUICK, tmp_path / name, CPU)
    first, second, other = (tmp_path.joinpath(name).read_bytes() for name in jobs)
    assert first == second != other


def test_rewinding_begins_again_from_the_weights_of_an_early_epoch(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What each training begins with: zero where it is removed, elsewhere what the first `rewind_epochs` came to."""
    begun: list[tuple[Tensor, Tensor, range]] = []
    train = pruning._train

    def noted(alone: Any, now: Any, removed: Any, epochs: range) -> None:
        mask = masks.as_weights({key: one == 0 for key, one in removed.items()}, now.layout, CPU)
        begun.append((now.values.clone(), mask.values, epochs))
        train(alone, now, removed, epochs)

    monkeypatch.setattr(pruning, "_train", noted)
    made(tmp_path, prepared, job(), dataclasses.replace(QUICK, between="rewind", rewind_epochs=1))
    assert [epochs for *_, epochs in begun] == [range(1, 2), range(2, 9), range(9, 16), range(16, 23), range(23, 30)]
    _, (early, _, _), *rounds = begun
    for values, mask, _ in rounds:
        assert torch.equal(values, early * mask)


def test_what_is_removed_stays_zero_through_training(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    measure = pruning._accuracy

    def noted(alone: Any, now: Any) -> float:
        ends.append({key: one.clone() for key, one in now.state().items()})
        return measure(alone, now)

    monkeypatch.setattr(pruning, "_accuracy", noted)
    found = made(tmp_path, prepared, job())
    for number, state in enumerate(ends):
        for key, kept in found.kept_after(number).items():
            assert not state[key][~kept].any() and state[key][kept].all()


def test_training_begins_with_the_numbers_of_the_federation(prepared: Path) -> None:
    alone = pruning.proxy(job(), prepared, 0.2, CPU)
    (client,) = alone.clients
    theirs = initial.build_models(job(), {"shape": [1, 8, 8], "classes": digits8.CLASSES}, {})["V4"].state_dict()
    ours = alone.server.initial(client).state()
    assert all(torch.equal(ours[key], one) for key, one in theirs.items())


def test_the_proxy_set_is_a_share_of_the_training_data(prepared: Path) -> None:
    alone = pruning.proxy(job(), prepared, 0.1, CPU)
    (client,) = alone.clients
    whole = np.load(prepared / "train.npy")
    labels = alone.train.labels
    assert len(labels) == round(0.1 * len(whole)) and alone.test is alone.train
    assert len(client.test) == round(0.2 * len(labels))
    assert sorted([*client.train, *client.test]) == list(range(len(labels)))
    assert isinstance(alone.train.inputs, Tensor)
    known = {image.tobytes() for image in whole}
    assert {image.numpy().tobytes() for image in alone.train.inputs} <= known


def test_rounds_end_before_accuracy_falls_too_far(
    tmp_path: Path, prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracies = iter([0.9, 0.89, 0.84, 0.95])
    monkeypatch.setattr(pruning, "_accuracy", lambda *_: next(accuracies))
    found = made(tmp_path, prepared, job(), dataclasses.replace(QUICK, epochs=1, tolerance=0.05))
    assert found.accuracies == (0.9, 0.89)
    assert found.sparsities[-1] == pytest.approx(0.2, abs=0.01), "what the second round removed is there again"


@pytest.mark.parametrize(
    ("keys", "protocol", "said"),
    [
        ({"proxy": 0.001}, PROTOCOL, "`proxy` is 0.001, which of 1,438 training samples is 1: too few"),
        (
            {},
            dataclasses.replace(PROTOCOL, optimiser=Optimiser(learning_rate=1e30)),
            "mlp V4 on the proxy set diverged by epoch 8. Lower",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path, prepared: Path, keys: dict[str, Any], protocol: Protocol, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        made(tmp_path, prepared, job(protocol=protocol), dataclasses.replace(QUICK, **keys))
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("family", ["vdcnn", "dlrm", "resnet"])
def test_texts_clicks_and_images_can_be_pruned(tmp_path: Path, family: str) -> None:
    the_job = federations.job(family=family)
    paths = federations.files(tmp_path, the_job)
    pruning.make_masks(the_job, paths["prepared"], Pruning(rounds=1, epochs=1, proxy=0.5), tmp_path / "masks", CPU)
    alone = pruning.proxy(the_job, paths["prepared"], 0.5, CPU)
    (version,) = alone.models
    found = masks.read(tmp_path / "masks", family, version, masks.prunable(alone.models[version]))
    assert found.sparsities[1] == pytest.approx(0.2, abs=0.01)
