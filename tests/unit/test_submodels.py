"""Smaller members of a family: where their values lie in the largest version, and what the server makes of them."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexifed import models
from flexifed.devices import fleet
from flexifed.elastic import masks
from flexifed.models._blocks import ScaledReLU
from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.settings.protocol import Budgets, Devices, Optimiser, Pruning
from flexifed.sharing import planning
from flexifed.sharing.layers import Chain, Layer, chain
from flexifed.sharing.places import nested, places
from flexifed.sharing.plan import Average, Plan, layer_names
from flexifed.sharing.regions import Member
from flexifed.system.errors import UserError
from flexifed.training import weights
from flexifed.training.client import samples_of_turn
from flexifed.training.rules import Filled
from flexifed.training.server import Server
from flexifed.training.submodels import Submodels, window
from tests.unit import federations

TIERS = ("B1", "B2", "B3", "B4")
CPU = torch.device("cpu")


def of(strategy: str, levels: Sequence[float] = (0.45, 0.62, 0.85, 1.0), family: str = "vgg", **more: Any) -> Job:
    """A job of four clients, one in each tier."""
    options = more.pop("options", {})
    pruning = Pruning(rounds=4, epochs=1, proxy=0.5)
    settings = {"versions": TIERS, "budgets": Budgets(levels=tuple(levels), pruning=pruning), **more}
    job = federations.job("fedavg", family=family, **settings)
    cell = dataclasses.replace(job.cell, strategy=strategy)
    return dataclasses.replace(job, cell=cell, strategy_options=options)


# Windows


@given(
    whole=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    shift=st.integers(0, 20),
    features=st.integers(1, 3),
    data=st.data(),
)
def test_a_window_is_what_indexing_takes(whole: list[int], shift: int, features: int, data: st.DataObject) -> None:
    """The values of channels (shift, shift + 1, ...), round and round, in every dimension that is shorter."""
    together = [features if dimension == 1 else 1 for dimension in range(len(whole))]
    shape = [data.draw(st.integers(1, n)) for n in whole]
    full = np.arange(np.prod(whole) * np.prod(together)).reshape([n * t for n, t in zip(whole, together, strict=True)])
    taken = full
    for dimension, (n, total, t) in enumerate(zip(shape, whole, together, strict=True)):
        first = shift if n < total else 0
        channels = [(first + i) % total for i in range(n)]
        taken = taken.take([c * t + i for c in channels for i in range(t)], axis=dimension)
    found = window([n * t for n, t in zip(shape, together, strict=True)], full.shape, shift, features)
    assert (np.arange(full.size) if found is None else found.numpy()).tolist() == taken.flatten().tolist()


def test_a_rolling_window_walks_all_channels() -> None:
    seen = set()
    for step in range(8):
        found = window((3, 2), (8, 4), step)
        assert found is not None
        seen |= set(found.tolist())
    assert seen == set(range(32))


# Transforms


def alone(family: str, member: Member, strategy: str = "elf", step: int = 0) -> tuple[Submodels, Plan]:
    """The submodels of a federation with one client that holds the member, and one that holds the largest version."""
    options = {"width": 0.25} if "width" in registry.keywords("family", family) else {}
    kind = registry.constant("family", family, "KIND")
    shape, classes = planning.SHAPES[kind], planning.CLASSES[kind]
    largest = registry.constant("family", family, "VERSIONS")[-1]
    members = {"B1": member, "B2": Member(largest)}
    made = planning.for_members(
        family, strategy, tiers=("B1", "B2"), members=members, shape=shape, classes=classes, options=options
    )
    model = models.build_meta(family, largest, shape, classes, options)
    layers = chain(model)
    layout = weights.layout(model, layers)
    (numbers,) = weights.allocate([layout], CPU)
    for slot in layout.slots.values():  # every value another one, none of them zero
        numbers.values[slot.start : slot.start + slot.shape.numel()] = (
            1.0 + torch.arange(slot.shape.numel()) + slot.start
        )
    held = {}
    for tier, one in members.items():
        its_model = planning.build_member(family, one, shape, classes, options)
        its_layers = chain(its_model)
        held[tier] = its_layers, weights.layout(its_model, its_layers)
    groups = tuple(_cut(group, layers) for group in made.groups)
    made = dataclasses.replace(made, groups=groups)
    return Submodels(made, (layers, numbers), held, "averaged", 0, {}, CPU), made


def _cut(group: Average, layers: Chain) -> Average:
    """The group with a window also where both clients have the whole layer, which needs none."""
    if group.window or 1 not in group.clients:
        return group
    name = layers[group.depths[group.clients.index(1)] - 1].name
    return dataclasses.replace(group, layer=name, window="leading")


CASES = [(family, version) for family in nested() for version in registry.constant("family", family, "VERSIONS")[:-1]]


@pytest.mark.parametrize("family, version", CASES)
@pytest.mark.parametrize("width", [1.0, 0.5])
def test_the_transform_and_its_inverse(family: str, version: str, width: float) -> None:
    """Down and up again is the identity on what the member has, and zero elsewhere; layer by layer, by name."""
    member = Member(version, width)
    submodels, made = alone(family, member)
    (_, layout) = submodels.members["B1"]
    (down,) = weights.allocate([layout], CPU)
    up = torch.zeros_like(submodels.initial.values)
    for cut in submodels.cuts("B1", 0):
        n = cut.stop - cut.start
        index = torch.arange(cut.at, cut.at + n) if isinstance(cut.at, int) else cut.at
        run = down.values[cut.start : cut.stop]
        run[slice(None) if cut.own is None else cut.own] = submodels.initial.values[index]
        up[index] = down.values[cut.start : cut.stop][slice(None) if cut.own is None else cut.own]
    shared = {group.layer for group in made.groups if group.window and 0 in group.clients}
    whole, small = submodels.initial.state(), down.state()
    back = weights.Weights(submodels.layout, up, submodels.initial.counters).state()
    place = dict(zip(places(family, version, made.layers["B1"]), made.layers["B1"], strict=True))
    assert shared, "nothing to look at"
    for layer in submodels.chain:
        for key in layer.weights + layer.normalisation:
            if layer.name in shared:
                own = small[_own_key(submodels, place[layer.name], layer, key)]
                corner = tuple(slice(0, n) for n in own.shape)
                assert torch.equal(whole[key][corner], own)
                assert torch.equal(back[key][corner], own)
                assert back[key].count_nonzero() == own.numel()
            else:
                assert back[key].count_nonzero() == 0


def _own_key(submodels: Submodels, name: str, layer: Layer, key: str) -> str:
    """The key of the member's layer of this name that stands where the key does in the largest version's layer."""
    its_layers, _ = submodels.members["B1"]
    (own,) = [one for one in its_layers if one.name == name]
    return (own.weights + own.normalisation)[(layer.weights + layer.normalisation).index(key)]


@pytest.mark.parametrize("family", nested())
def test_groups_by_place_are_those_of_pairs(family: str) -> None:
    """Two clients average a layer if both have one at its place that is alike at full width: compared in pairs."""
    versions = registry.constant("family", family, "VERSIONS")
    kind = registry.constant("family", family, "KIND")
    shape, classes = planning.SHAPES[kind], planning.CLASSES[kind]
    tiers = tuple(f"B{i}" for i in range(len(versions)))
    members = {tier: Member(version) for tier, version in zip(tiers, versions, strict=True)}
    made = planning.for_members(
        family, "elf", tiers=[t for t in tiers for _ in range(2)], members=members, shape=shape, classes=classes
    )
    layers = [chain(models.build_meta(family, v, shape, classes, {})) for v in versions for _ in range(2)]
    of_place = [
        dict(zip(places(family, v, layer_names(layers[2 * i])), layers[2 * i], strict=True))
        for i, v in enumerate(versions)
        for _ in range(2)
    ]
    expected = set()
    for a, ours in enumerate(of_place):
        for b, theirs in enumerate(of_place):
            for place in ours.keys() & theirs.keys():
                if a < b and ours[place].signature == theirs[place].signature:
                    expected.add((a, b, ours[place].name, theirs[place].name))
    found = set()
    for group in made.groups:
        for i, a in enumerate(group.clients):
            for j, b in enumerate(group.clients):
                if a < b:
                    found.add((a, b, layers[a][group.depths[i] - 1].name, layers[b][group.depths[j] - 1].name))
    assert found == expected


# The server's mean


class Uploaded:
    """Clients of tiers whose uploads are given numbers, and the mean of them value by value, with a dictionary."""

    def __init__(
        self, folder: Path, strategy: str, fill: str = "owners", options: Mapping[str, Any] | None = None
    ) -> None:
        job = of(strategy, options=dict(options or {}))
        self.f = federations.in_double(federations.assemble(folder, job))
        self.server: Server = self.f.server
        assert self.server.submodels is not None
        self.submodels = self.server.submodels
        self.before = [turn.weights.state() | {} for turn in self._downloaded()]
        self.fill = fill

    def _downloaded(self) -> list[Any]:
        return self.server.download(self.f.clients)

    def round(self, cohort: Sequence[int], seed: int) -> torch.Tensor:
        """Upload random numbers of these clients; returns the expected values of the largest version, NaN for none."""
        generator = torch.Generator().manual_seed(seed)
        step = self.server.held[-1].steps
        value = self.server.held[-1].value
        assert value is not None
        sums, counts = np.zeros(len(value)), np.zeros(len(value))
        turns = self.server.download([self.f.clients[c] for c in cohort])
        for turn in turns:
            turn.weights.values.copy_(torch.randn(turn.weights.layout.size, generator=generator, dtype=torch.float64))
            for cut in self.submodels.cuts(turn.client.version, step):
                n = cut.stop - cut.start
                index = np.arange(cut.at, cut.at + n) if isinstance(cut.at, int) else cut.at.numpy()
                own = np.arange(n) if cut.own is None else cut.own.numpy()
                np.add.at(sums, index, turn.weights.values[cut.start : cut.stop].numpy()[own])
                np.add.at(counts, index, 1)
        self.server.upload(turns)
        self.server.step()
        everyone = np.full(len(value), float(len(cohort)))
        for a, b in self.submodels.layout.buffers:
            everyone[a:b] = counts[a:b]
        means = sums / np.where(counts > 0, counts if self.fill == "owners" else everyone, np.nan)
        return torch.from_numpy(means)


@pytest.mark.parametrize(
    "strategy, options, fill",
    [
        ("heterofl", {}, "owners"),
        ("fedrolex", {}, "owners"),
        ("heterofl", {"cuts": "depth_and_width"}, "owners"),
        ("elf", {"fill": "owners"}, "owners"),
        ("elf", {"fill": "zeros"}, "zeros"),
        ("elf", {"cuts": "depth_and_sparsity", "fill": "owners"}, "owners"),
        ("elf", {"cuts": "depth_and_sparsity"}, "zeros"),
    ],
)
def test_a_value_is_the_mean_over_those_who_have_it_or_over_all(
    tmp_path: Path, strategy: str, options: dict[str, Any], fill: str
) -> None:
    """In three rounds with other cohorts; what nobody of the cohort has stays as it is."""
    uploaded = Uploaded(tmp_path, strategy, fill, options)
    held = uploaded.server.held[-1]
    for seed, cohort in enumerate([(0, 1, 2, 3), (0, 2), (1,)]):
        assert held.value is not None
        before = held.value.clone()
        expected = uploaded.round(cohort, seed)
        now = held.value
        had = ~expected.isnan()
        assert had.any()
        torch.testing.assert_close(now[had], expected[had], rtol=0, atol=1e-12)
        assert torch.equal(now[~had], before[~had])


def test_what_stands_for_a_missing_layer(tmp_path: Path) -> None:
    """The layer before it in the client's model where that is of the same shape; and random values, drawn anew."""
    means = {}
    for fill in ("owners", "zeros", "previous_layer", "random"):
        job = of("elf", (0.4, 0.6, 0.8, 1.0), "resnet", options={"fill": fill})
        f = federations.in_double(federations.assemble(tmp_path / fill, job))
        assert isinstance(f.server.rule, Filled) and f.server.submodels is not None
        turns = f.server.download(f.clients)
        for turn in turns:
            turn.weights.values.fill_(1.0 + turn.client.id)
        f.server.upload(turns)
        f.server.step()
        submodels, value = f.server.submodels, f.server.held[-1].value
        assert value is not None
        shallow, deepest = turns[0].client, turns[3].client
        missing = submodels.lent(shallow.version)
        assert missing and not submodels.lent(deepest.version)
        last = missing[-3]  # a convolution, before the two tensors of its normalisation
        assert sum(_lacks(submodels, client.version, last.start) for client in f.clients) == 3
        means[fill] = value[last.start].item(), [value[run.start].item() for run in missing]
    owner = 4.0
    assert means["owners"][0] == owner
    assert means["zeros"][0] == owner / 4
    assert means["previous_layer"][0] == pytest.approx((1 + 2 + 3 + owner) / 4), "each lends its own numbers"
    assert means["random"][0] not in (owner, owner / 4)
    assert len({repr(each) for _, each in means.values()}) == 4


def _lacks(submodels: Submodels, tier: str, start: int) -> bool:
    return any(run.start <= start < run.stop for run in submodels.lent(tier))


# Whole federations


def accuracies(folder: Path, job: Job) -> pd.DataFrame:
    return pd.read_parquet(federations.run(folder, job) / "history.parquet").drop(columns="version")


def test_with_the_largest_version_everywhere_they_are_fedavg_to_the_bit(tmp_path: Path) -> None:
    largest = federations.job("fedavg", family="vgg", versions=("V4",))
    expected = accuracies(tmp_path / "fedavg", largest)
    for strategy in ("elf", "heterofl", "fedrolex", "fedavg"):
        level = {"levels": (1.0,), "versions": ("B1",)}
        found = accuracies(tmp_path / strategy, of(strategy, **level))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("engine", registry.names("engine"))
@pytest.mark.parametrize("strategy", ["heterofl", "fedrolex", "elf", "masked", "random"])
def test_it_goes_on_with_the_same_bytes(tmp_path: Path, strategy: str, engine: str) -> None:
    options = {"masked": {"cuts": "depth_and_sparsity"}, "random": {"fill": "random"}}.get(strategy, {})
    file = "elf" if options else strategy
    job = of(file, options=options, rounds=4, participants=3)
    job = dataclasses.replace(job, engine=engine, cell=dataclasses.replace(job.cell, strategy=strategy), strategy=file)
    whole = federations.run(tmp_path, job, "whole")
    federations.stopped(tmp_path, job, 2)
    resumed = federations.run(tmp_path, job)
    assert (resumed / "history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()
    assert len(json.loads((resumed / "run.json").read_text())["sessions"]) == 2


@pytest.mark.parametrize("engine", ["fast", "stacked"])
@pytest.mark.parametrize("strategy", ["heterofl", "fedrolex", "elf"])
def test_engines_agree(tmp_path: Path, strategy: str, engine: str) -> None:
    found = []
    for name in ("serial", engine):
        job = dataclasses.replace(of(strategy, optimiser=Optimiser(learning_rate=0.01)), engine=name)
        f = federations.in_double(federations.assemble(tmp_path, job))
        federations.loop(f, registry.load("engine", name).create(f))
        found.append(torch.cat([held.value for held in f.server.held if held.value is not None]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_masked_values_do_not_exist(tmp_path: Path) -> None:
    """They are zero in a member, before and after training, nobody sends them, and the record counts what is sent."""
    job = of("elf", options={"cuts": "depth_and_sparsity"}, levels=(0.2, 0.4, 0.6, 1.0))
    f = federations.assemble(tmp_path, job)
    assert {tier for tier in TIERS if tier in f.masks} == {t for t, m in f.plan.members.items() if m.sparsity} != set()
    federations.loop(f, registry.load("engine", "fast").create(f))
    for turn in f.server.download(f.clients):
        if mask := f.masks.get(turn.client.version):
            assert turn.weights.values[mask.values == 0].count_nonzero() == 0
            existing = sum(int(m.sum()) for m in mask.state().values() if m.is_floating_point())
            assert f.attendance.traffic[turn.client.id] == 4 * existing


def test_pruning_that_ended_too_soon_is_told_with_what_a_tier_needs(tmp_path: Path) -> None:
    """Before training: no round of pruning was within its tolerance."""
    job = of("elf", (0.4, 0.6, 0.8, 1.0), "mlp", options={"cuts": "depth_and_sparsity"})
    shape, classes = (1, 32, 32), 4
    whole = planning.build_member("mlp", Member("V4"), shape, classes, job.family_options)
    removed = masks.nothing_removed(masks.prunable(whole))
    masks.write(masks.Masks("mlp", "V4", removed, (0.9,)), tmp_path / "masks.seed0.safetensors")
    with pytest.raises(UserError) as raised:
        federations.assemble(tmp_path, job)
    assert str(raised.value) == (
        "tier 'B1' holds V1 at a sparsity of 0.590, and pruning ended after 0 rounds, at 0.000, since accuracy fell by "
        "more than `tolerance`. Raise `budgets.pruning.tolerance`, or let tiers do with less sparse members: "
        "`budgets.sparsest` of 0.000 or less, higher `budgets.levels`."
    )


def test_the_clock_counts_the_work_of_a_member(tmp_path: Path) -> None:
    job = of("heterofl", levels=(0.1, 0.3, 0.7, 1.0), devices=Devices(over_commit=1.0))
    f = federations.assemble(tmp_path, job)
    samples = [samples_of_turn(client, job.protocol) for client in f.clients]
    work = np.array([f.plan.members[tier].work for tier in TIERS])
    drawn = fleet.read(federations.files(tmp_path, job)["devices_file"], 4).capacities
    sent = np.array(f.attendance.traffic)
    training = 3 * np.array(samples) * work * drawn.milliseconds_per_sample / 1000
    assert (np.diff(work) > 0).all()
    assert f.attendance.seconds == pytest.approx(training + 16 * sent / (1000 * drawn.kilobits_per_second))


def test_members_divide_their_activations_by_their_width_while_they_train(tmp_path: Path) -> None:
    """Where no normalisation takes it out again: the convolutional family without one, by hand."""
    job = of("heterofl", family="conv", levels=(0.2, 0.4, 0.6, 1.0))
    job = dataclasses.replace(job, family_options={"width": 0.125, "head": "pooled"})
    scaled = federations.assemble(tmp_path / "scaled", job)
    plain = federations.assemble(tmp_path / "plain", dataclasses.replace(job, strategy_options={"scaler": False}))
    x = torch.rand(2, 1, 32, 32)
    for tier in TIERS:
        width, ours, theirs = scaled.plan.members[tier].width, scaled.models[tier], plain.models[tier]
        assert torch.equal(ours.eval()(x), theirs.eval()(x))
        hidden = [module for module in theirs.modules() if isinstance(module, torch.nn.ReLU)]
        hooks = [module.register_forward_hook(lambda _, __, y, width=width: y / width) for module in hidden]
        torch.testing.assert_close(ours.train()(x), theirs.train()(x))
        assert len(hooks) == 10
    normalised = dataclasses.replace(of("heterofl", (0.4, 0.6, 0.8, 1.0), "resnet"), family_options={"width": 0.5})
    norms = federations.assemble(tmp_path / "norms", normalised)
    assert not any(isinstance(module, ScaledReLU) for module in norms.models["B1"].modules())
