"""The presets against what is known of the code they stand for: clients, data, steps, rounds, readings."""

import csv
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from flexifed.analysis import published
from flexifed.data.partition import set_order
from flexifed.data.samples import Pool
from flexifed.data.transforms import TextTransform
from flexifed.partitioners import iid
from flexifed.settings import registry, rng
from flexifed.settings.protocol import Protocol
from flexifed.study import config
from flexifed.training.client import Client, batches

EVERY = {
    path.stem: TypeAdapter(Protocol).validate_python(yaml.safe_load(path.read_text()))
    for path in sorted(config.PRESETS.glob("*.yaml"))
}
PRESETS = {name: preset for name, preset in EVERY.items() if preset.participants is None}
"""Those of FlexiFed, where every client is present."""
TRAIN, TEST = (Pool(np.arange(n) % 10, None) for n in (50_000, 10_000))
"""As many samples as CIFAR-10 has."""


def held(preset: str) -> Any:
    protocol = PRESETS[preset]
    options = protocol.partition.options
    return iid.partition(TRAIN, TEST, protocol.clients, rng.stream(0, "partition"), **options)  # type: ignore[arg-type]


def steps(preset: str, round_number: int) -> list[list[int]]:
    """The samples of every SGD step of client 0, with CIFAR-10's numbers of samples."""
    weights: Any = None
    indices = held(preset).train[0]
    client = Client(0, "V1", (), weights, set_order(indices), np.arange(1))
    return [b.indices.tolist() for b in batches(client, TextTransform(), PRESETS[preset], 0, round_number)]


@pytest.mark.parametrize(
    ("preset", "clients", "train", "test", "rounds", "slices", "steps_per_round"),
    [
        ("official", 8, 2500, 500, 502, 10, 40),
        ("official_code", 8, 2500, 500, 502, 10, 40),
        ("table1_inferred", 20, 2500, 500, 502, 10, 40),
        ("paper_a4", 40, 1250, 250, 1000, 10, 20),
        ("wzt_70", 8, 6250, 1250, 70, 10, 100),
        ("ruicrand_252", 8, 6250, 1250, 252, 10, 100),
        ("ruicrand_40", 40, 1250, 250, 45, 1, 200),  # the whole local set in every round
        ("yogurteer", 8, 2500, 500, 100, 10, 40),
        ("yogurteer_vgg", 8, 2500, 500, 502, 10, 40),
        ("clean", 8, 2500, 500, 502, 10, 40),
    ],
)
def test_clients_samples_rounds_and_steps(
    preset: str, clients: int, train: int, test: int, rounds: int, slices: int, steps_per_round: int
) -> None:
    """On CIFAR-10. Ten local epochs in batches of 64 with the authors' SGD are common to all."""
    protocol = PRESETS[preset]
    assert (protocol.clients, protocol.rounds, protocol.slices) == (clients, rounds, slices)
    assert {len(indices) for indices in held(preset).train} == {train}
    assert {len(indices) for indices in held(preset).test} == {test}
    assert len(steps(preset, 3)) == steps_per_round
    optimiser = protocol.optimiser
    assert (optimiser.learning_rate, optimiser.momentum, optimiser.weight_decay) == (0.01, 0.9, 5e-4)
    assert (protocol.local_epochs, protocol.batch_size, optimiser.state) == (10, 64, "new")


def test_every_preset_is_above() -> None:
    (marker,) = [m for m in test_clients_samples_rounds_and_steps.pytestmark if m.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in marker.args[1]} == set(PRESETS)


EXPECTED: dict[str, dict[str, Any]] = {
    "official": {},
    "official_code": {
        "partition.order": "set", "slice_pointer": "wraps_at_2500", "initial_weights": "per_client",
        "test_updates_statistics": True, "final.mode": "train", "final.decimals": 2, "final.rule": "last",
    },
    "table1_inferred": {"final.decimals": 2},
    "paper_a4": {"final.rule": "last_rounds"},
    "wzt_70": {
        "initial_weights": "per_client", "final.rule": "last",
        "family_options": {"vgg": {"dropout": "after"}, "vdcnn": {"pooling": "doubled"}},
    },
    "ruicrand_252": {
        "partition.order": "set", "initial_weights": "per_client", "classifier": "none",
        "final.phase": "local", "final.rule": "last_rounds",
        "family_options": {
            "vgg": {"dropout": "after", "initial": "xavier"}, "resnet": {"initial": "xavier"},
            "charcnn": {"initial": "xavier"}, "vdcnn": {"pooling": "doubled"},
        },
    },
    "ruicrand_40": {
        "partition.order": "set", "initial_weights": "per_client", "classifier": "none", "normalisation": "local",
        "final.phase": "local", "final.rule": "last",
        "family_options": {"vgg": {"dropout": "after", "initial": "xavier"}},
    },
    "yogurteer": {
        "partition.order": "set", "initial_weights": "per_client", "classifier": "none", "shuffle": False,
        "final.rule": "best", "final.clients": "first", "family_options": {"vdcnn": {"pooling": "doubled"}},
    },
    "yogurteer_vgg": {
        "partition.order": "set", "initial_weights": "per_client", "test_updates_statistics": True,
        "final.mode": "train", "final.rule": "last_rounds",
    },
    "clean": {"test_set": "whole", "evaluate_every": 5},
}  # fmt: skip
SIZES = {"clients", "rounds", "slices", "partition.options"}
"""What the table above is about."""


def flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{above}{key}"
        if key in ("partition", "final", "optimiser"):
            yield from flat(value, f"{name}.")
        else:
            yield name, value


@pytest.mark.parametrize("preset", PRESETS)
def test_what_else_differs_from_the_default(preset: str) -> None:
    as_dict = TypeAdapter(Protocol).dump_python
    default = dict(flat(as_dict(Protocol())))
    differs = {name: value for name, value in flat(as_dict(PRESETS[preset])) if value != default[name]}
    assert {name: value for name, value in differs.items() if name not in SIZES} == EXPECTED[preset]


def test_means_of_the_last_fifty_are_of_fifty() -> None:
    assert {p.final.rounds for p in PRESETS.values() if p.final.rule == "last_rounds"} == {50}


def test_local_epochs_of_yogurteers_final_code_repeat_their_batches_and_its_early_codes_do_not() -> None:
    for preset in ("yogurteer", "yogurteer_vgg"):
        first, second = steps(preset, 1)[:4], steps(preset, 1)[4:8]
        assert (first == second) == (preset == "yogurteer")


def test_presets_name_the_numbers_they_correspond_to() -> None:
    """In `published/presets.csv` and, in words, in their own comments."""
    printed: dict[str, set[str]] = {}
    for row in published.table1().to_dict("records"):
        printed.setdefault(row["source"], set()).add(row["family"])
    with (published.FOLDER / "presets.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["preset"] for row in rows} == set(PRESETS) - {"clean", "ruicrand_40"}  # which no table row is of
    assert all(set(row["families"].split()) <= printed[row["source"]] for row in rows)
    for path in config.PRESETS.glob("*.yaml"):
        assert "orresponds to" in path.read_text(), path


def test_presets_of_fedavg_are_their_sources_settings() -> None:
    assert set(EVERY) - set(PRESETS) == {
        "shaoxiongji",
        "mcmahan",
        "practicing_fl",
        "femnist",
        "q_ffl",
        "fedscale_guide",
    }
    for preset in (EVERY["shaoxiongji"], EVERY["mcmahan"]):
        assert (preset.clients, preset.cohort_size(), preset.slices, preset.test_set) == (100, 10, 1, "whole")
        assert (preset.local_epochs, preset.batch_size, preset.tests) == (5, 10, ("aggregated",))
        assert preset.optimiser.weight_decay == 0 and preset.optimiser.state == "new"
    assert EVERY["shaoxiongji"].optimiser.momentum == 0.5 and EVERY["shaoxiongji"].averaging == "uniform"
    assert EVERY["mcmahan"].optimiser.momentum == 0 and EVERY["mcmahan"].averaging == "samples"
    assert (EVERY["shaoxiongji"].versions, EVERY["mcmahan"].versions) == (("V1",), ("V2",))


def test_the_preset_of_practicing_fl_is_the_chapters_conf_json() -> None:
    """Ten models, five in each round, 20 global and three local epochs, batches of 32, rate 0.001, momentum 0.0001."""
    preset = EVERY["practicing_fl"]
    assert (preset.clients, preset.cohort_size(), preset.rounds, preset.local_epochs) == (10, 5, 20, 3)
    assert (preset.batch_size, preset.optimiser.learning_rate, preset.optimiser.momentum) == (32, 0.001, 0.0001)
    assert registry.keywords("strategy", "server_rate") == {"rate": 0.1}
