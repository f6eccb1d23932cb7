"""Clients that hold only the rows of embedding tables that their samples ask for, against clients with all of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.settings.protocol import Optimiser
from flexifed.training import weights
from flexifed.training.engine import Federation
from tests.unit import federations

ENGINES = registry.names("engine")
STRATEGIES = {"fedavg": {}, "fedavgm": {}, "fedyogi": {}, "q_fedavg": {}, "server_rate": {"rate": 0.2}, "fedprox": {}}


def of(strategy: str = "fedavg", **overrides: Any) -> Job:
    defaults = {
        "family": "dlrm",
        "clients": 8,
        "versions": ("V1",),
        "participants": 3,
        "rounds": 3,
        "tests": ("aggregated",),
        "optimiser": Optimiser(weight_decay=0.0),
    }
    job = federations.job(strategy, **{**defaults, **overrides})
    return dataclasses.replace(job, strategy_options=STRATEGIES.get(strategy, {}))


def ended(assembled: Federation, engine: str) -> tuple[torch.Tensor, Any]:
    """The server's numbers after all rounds in double precision, and the history."""
    double = federations.in_double(assembled)
    history = federations.loop(double, registry.load("engine", engine).create(double))
    (whole, *_) = double.server.download(double.clients[:1], whole=True)
    return torch.cat([v.flatten() for v in whole.weights.state().values()]), history.columns()


@pytest.fixture
def with_all_rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Assembles a federation whose clients hold whole tables."""

    def assemble(folder: Path, job: Job) -> Federation:
        with monkeypatch.context() as patch:
            patch.setattr(weights, "tables", lambda model: {})
            return federations.assemble(folder, job)

    return assemble


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_is_the_federation_of_whole_tables(tmp_path: Path, with_all_rows: Any, strategy: str, engine: str) -> None:
    job = of(strategy)
    of_rows, of_tables = federations.assemble(tmp_path, job), with_all_rows(tmp_path, job)
    assert of_rows.clients[0].layout.size < of_tables.clients[0].layout.size
    (rows, history), (tables, other) = ended(of_rows, engine), ended(of_tables, "serial")
    torch.testing.assert_close(rows, tables, rtol=0, atol=1e-7)
    assert history["value"] == pytest.approx(other["value"], rel=1e-5)
    assert "auc" in history["metric"] and "loss" in history["metric"]


def test_a_client_has_the_rows_of_its_samples_and_sends_those_it_trains(tmp_path: Path) -> None:
    assembled = federations.assemble(tmp_path, of())
    split = federations.split("click", 64, 0)
    for client, sent in zip(assembled.clients, assembled.attendance.traffic, strict=True):
        layout, wanted = client.layout, split.samples["sparse"][client.train]
        users, others = (set(layout.rows[key].tolist()) for key in layout.tables)
        assert set(wanted[:, 0]) <= users and set(wanted[:, 1]) | set(wanted[:, 2] + 40) <= others
        trained = sum(len(np.unique(wanted[:, field])) for field in range(3))
        networks = sum(p.numel() for n, p in assembled.models["V1"].named_parameters() if n not in layout.tables)
        assert sent == 4 * (16 * trained + networks)


def test_rows_that_nobody_asked_for_stay_as_they_were(tmp_path: Path) -> None:
    assembled = federations.assemble(tmp_path, of(participants=1, rounds=1))
    initial = assembled.server.wholes["V1"].state()
    before = {key: tensor.clone() for key, tensor in initial.items()}
    engine = registry.load("engine", "serial").create(assembled)
    cohort = assembled.attendance.cohort(1, lambda _: [])
    federations.loop(assembled, engine)
    (whole,) = assembled.server.download(assembled.clients[:1], whole=True)
    asked = federations.split("click", 64, 0).samples["sparse"][cohort[0].train]
    for key, rows in (("users.weight", set(asked[:, 0])), ("others.weight", {*asked[:, 1], *(asked[:, 2] + 40)})):
        changed = (whole.weights.state()[key] != before[key]).any(dim=1).nonzero().flatten().tolist()
        assert changed and set(changed) <= rows


def test_personal_users_stay_with_their_clients(tmp_path: Path) -> None:
    job = of("personal_users", participants=8, rounds=1, tested="all")
    assembled = federations.assemble(tmp_path, job)
    shared = federations.assemble(tmp_path, of("fedavg", participants=8, rounds=1, tested="all"))
    rows = [len(client.layout.rows["users.weight"]) for client in assembled.clients]
    federations.loop(assembled, registry.load("engine", "serial").create(assembled))
    states = [numbers.state() for numbers in federations.numbers(assembled)]
    fc1 = {state["bottom.fc1.weight"].sum().item() for state in states}
    assert len(fc1) == 1, "all else is shared"
    both = set(assembled.clients[0].layout.rows["users.weight"].tolist())
    both &= set(assembled.clients[1].layout.rows["users.weight"].tolist())
    of_user = [
        state["users.weight"][client.layout.rows["users.weight"].tolist().index(min(both))]
        for state, client in zip(states[:2], assembled.clients, strict=False)
    ]
    assert not torch.equal(*of_user), "both have trained the row of this user, each for itself"
    sent = [a - b for a, b in zip(shared.attendance.traffic, assembled.attendance.traffic, strict=True)]
    assert all(0 < saved <= 4 * 16 * n for saved, n in zip(sent, rows, strict=True))


def test_tested_on_the_whole_set_once_for_all(tmp_path: Path) -> None:
    history = federations.history(federations.run(tmp_path, of(test_set="whole")))
    found = history[history.metric == "auc"]
    assert found.groupby("round").client.nunique().tolist() == [3, 3, 3]
    assert found.groupby("round").value.nunique().tolist() == [1, 1, 1]


def test_scores_of_shards_are_taken_together(tmp_path: Path) -> None:
    history = federations.history(federations.run(tmp_path, of(tested="all")))
    assert set(history[history.metric == "auc"].client) == {-1}
    one = history[(history["round"] == 3) & (history.metric == "loss") & (history.phase == "aggregated")]
    mean = one[one.client >= 0].value.mean()  # shards are of one size
    assert one[one.client == -1].value.item() == pytest.approx(mean)


@pytest.mark.parametrize("engine", ENGINES)
def test_it_goes_on_with_the_same_bytes(tmp_path: Path, engine: str) -> None:
    job = dataclasses.replace(of("fedyogi", rounds=5), engine=engine)
    whole = federations.run(tmp_path, job, "whole")
    federations.stopped(tmp_path, job, 3)
    resumed = federations.run(tmp_path, job)
    assert (resumed / "history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()
