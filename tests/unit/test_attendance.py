"""Who takes part: chosen among those who are available, kept if in time; and what selectors learn of it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.settings.protocol import Devices, Optimiser, Protocol
from flexifed.training.client import batches, samples_of_turn
from tests.unit import federations

PHONES = Devices(capacity="lognormal", availability="day_and_night")


def of(strategy: str = "fedavg", **overrides: Any) -> Job:
    defaults = {"clients": 12, "versions": ("V1",), "participants": 3, "rounds": 6, "tests": ("aggregated",)}
    return federations.job(strategy, **{**defaults, **overrides})


def history(folder: Path, job: Job, name: str) -> Any:
    return federations.history(federations.run(folder, job, name))


def test_equal_devices_without_more_invitations_change_nothing_but_count_seconds(tmp_path: Path) -> None:
    alone = history(tmp_path, of(), "alone")
    equal = history(tmp_path, of(devices=Devices(over_commit=1.0)), "equal")
    clock = equal.phase == "clock"
    assert equal[~clock].reset_index(drop=True).equals(alone)
    seconds = equal[clock & (equal.metric == "seconds")].value
    assert len(seconds) == 6 and (seconds.diff().dropna() > 0).all()
    assert seconds.diff().dropna().to_numpy() == pytest.approx(seconds.iloc[0]), "every round takes as long"


def test_slow_devices_are_dropped_or_waited_for(tmp_path: Path) -> None:
    dropped, waited = (
        history(tmp_path, of(devices=Devices(capacity="lognormal", stragglers=stragglers)), stragglers)
        for stragglers in ("dropped", "waited_for")
    )
    of_clock = [one[one.metric == "dropped"].value.tolist() for one in (dropped, waited)]
    assert of_clock == [[1.0] * 6, [0.0] * 6], "four are invited where three are wanted, or three"
    ends = [one[one.metric == "seconds"].value.iloc[-1] for one in (dropped, waited)]
    assert ends[0] < ends[1]


def test_a_round_in_which_nobody_finishes_changes_nothing_and_takes_its_time(tmp_path: Path) -> None:
    """On devices that take weeks for a turn, and are there for a night."""
    weeks = {"milliseconds": 1e9}
    never = Devices(capacity="equal", capacity_options=weeks, availability="day_and_night")
    job = of("oort", devices=never, tested="all", evaluate_every=2)
    found = history(tmp_path, job, "never")
    assert set(found[found.phase != "clock"].metric) == {"accuracy", "loss"}, "nobody has trained"
    assert found[found.metric == "accuracy"].groupby("client").value.nunique().tolist() == [1] * 12
    assert found[found.metric == "dropped"].value.min() >= 3
    assert (found[found.metric == "seconds"].value.diff().dropna() > 0).all()


@pytest.mark.parametrize("engine", registry.names("engine"))
@pytest.mark.parametrize("strategy", ["oort", "power_of_choice", "q_fedavg", "fedyogi"])
def test_it_goes_on_with_the_same_bytes(tmp_path: Path, strategy: str, engine: str) -> None:
    """With what the selector has learned, the server's moments and the clock."""
    job = dataclasses.replace(of(strategy, devices=PHONES), engine=engine)
    if strategy == "oort":
        job = dataclasses.replace(job, strategy_options={"exploration": 0.5, "pacer_window": 1})
    whole = federations.run(tmp_path, job, "whole")
    federations.stopped(tmp_path, job, 4)
    resumed = federations.run(tmp_path, job)
    assert (resumed / "history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()
    assert len(json.loads((resumed / "run.json").read_text())["sessions"]) == 2


@pytest.mark.parametrize("engine", ["fast", "stacked"])
def test_engines_measure_the_same_losses(tmp_path: Path, engine: str) -> None:
    """Of the model that is downloaded, of the turn, and the squares of the turn's samples."""
    found = []
    for name in ("serial", engine):
        assembled = federations.in_double(federations.assemble(tmp_path, dataclasses.replace(of("oort"), engine=name)))
        made = registry.load("engine", name).create(assembled)
        turns = assembled.server.download(assembled.clients)
        found.append([made.losses(turns), *(list(each) for each in zip(*made.train(1, turns), strict=True))])
    for serial, other in zip(*found, strict=True):
        assert serial == pytest.approx(other, rel=1e-6)
    losses, trained, squares = found[0]
    assert all(square > loss**2 for loss, square in zip(trained, squares, strict=True)), "mean of squares"
    assert losses != trained


@pytest.mark.parametrize("protocol", [{"local_steps": 5}, {"local_steps": 1}, {"local_epochs": 3}, {"slices": 3}])
def test_a_turn_takes_so_many_steps(tmp_path: Path, protocol: dict[str, int]) -> None:
    assembled = federations.assemble(tmp_path, of(batch_size=2, optimiser=Optimiser(), **protocol))
    for client in assembled.clients:
        steps = list(batches(client, assembled.transform, assembled.protocol, 0, 1))
        assert len(steps) == protocol.get("local_steps", len(steps))
        assert sum(len(step.indices) for step in steps) == samples_of_turn(client, assembled.protocol)
        assert "local_steps" in protocol or len(steps) % assembled.protocol.local_epochs == 0


def test_everybody_is_tested_where_the_protocol_says_so(tmp_path: Path) -> None:
    found = history(tmp_path, of(tested="all"), "all")
    assert found[found.metric == "accuracy"].groupby("round").client.nunique().tolist() == [12] * 6
    assert found[found.metric == "train_loss"].groupby("round").client.nunique().tolist() == [3] * 6


def test_power_of_choice_takes_those_with_the_highest_losses(tmp_path: Path) -> None:
    """With every client a candidate, the cohort is the clients whose downloaded model has the highest losses."""
    job = dataclasses.replace(of("power_of_choice"), strategy_options={"candidates": 12})
    assembled = federations.assemble(tmp_path, job)
    engine = registry.load("engine", "serial").create(assembled)

    def losses(clients: Any) -> list[float]:
        return engine.losses(assembled.server.download([assembled.clients[c] for c in clients]))

    every = {client: losses([client])[0] for client in range(12)}
    cohort = assembled.attendance.cohort(1, lambda clients: [every[client] for client in clients])
    assert {client.id for client in cohort} == set(sorted(every, key=lambda c: -every[c])[:3])


def test_defaults_count_no_time() -> None:
    assert Protocol().devices is None and Protocol().tested == "participants" and Protocol().local_steps is None
