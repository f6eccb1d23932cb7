"""Kept models are those that were tested: loaded, they reach the recorded accuracy, and a stop changes no byte."""

import dataclasses
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.settings.protocol import FinalNumber, Optimiser
from flexifed.system.errors import UserError
from flexifed.system.interruption import Interrupted
from flexifed.training import modelfiles
from flexifed.training.run import Inputs, run_cell
from tests.miniature import small_file_system
from tests.unit import federations

FAMILIES = registry.names("family")
ENGINES = registry.names("engine")
ROUNDS = 5


def job(strategy: str = "max_common", engine: str = "serial", **overrides: Any) -> Job:
    """Of a run that goes up and down: its best round is neither the first nor the last."""
    settings = {"rounds": ROUNDS, "slices": 1, "optimiser": Optimiser(learning_rate=0.03), **overrides}
    return dataclasses.replace(federations.job(strategy, **settings), engine=engine)


def recorded(cell: Path, phase: str) -> dict[tuple[int, int], float]:
    """Accuracy in `eval()` by round and client."""
    table = federations.history(cell)
    table = table[(table.phase == phase) & (table.metric == "accuracy")]
    return {(row.round, row.client): row.value for row in table.itertuples()}


def reached(cell: Path, client: int) -> float:
    """The accuracy of a client's kept model on the samples it was tested on."""
    inputs, labels = modelfiles.tested_on(cell, client)
    with torch.inference_mode():
        hits = modelfiles.load_model(cell, client)(inputs).argmax(dim=1) == labels
    return hits.sum().item() / len(hits)


def index(cell: Path, kept: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((cell / f"models/{kept}.json").read_text())
    return found


def assert_as_recorded(cell: Path, kept: str, phase: str) -> int:
    """Every client's kept model reaches what the history and its card say of it; returns the round."""
    accuracy, described = recorded(cell, phase), index(cell, kept)
    assert described["phase"] == phase
    for client, name in ((int(number), name) for number, name in described["models"].items()):
        card = json.loads((cell / "models" / name).with_suffix(".json").read_text())
        (on_card,) = [entry for entry in card["accuracy"] if entry["client"] == client]
        expected = accuracy[described["round"], client]
        assert on_card["accuracy"] == expected
        # The fast engine divides in single precision.
        assert reached(cell, client) == round(expected * on_card["test_samples"]) / on_card["test_samples"]
        assert abs(reached(cell, client) - expected) < 1e-7
    return int(described["round"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "family", [f for f in registry.names("family") if not registry.constant("family", f, "TABLES", False)]
)
def test_a_kept_model_reaches_its_recorded_accuracy(tmp_path: Path, family: str, engine: str) -> None:
    cell = federations.run(tmp_path, job(engine=engine, family=family, rounds=2), keep_models="final")
    assert assert_as_recorded(cell, "final", "aggregated") == 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("phase", ["local", "aggregated"])
@pytest.mark.parametrize("moves", [False, True])
def test_the_best_round_is_the_first_with_the_highest_mean(
    tmp_path: Path, engine: str, phase: Any, moves: bool
) -> None:
    """Also where the test in training mode moves the statistics of the model that was tested."""
    the_job = job(engine=engine, final=FinalNumber(phase=phase), test_updates_statistics=moves)
    cell = federations.run(tmp_path, the_job, keep_models="best")
    means = {r: sum(v for (at, _), v in recorded(cell, phase).items() if at == r) for r in range(1, ROUNDS + 1)}
    highest = max(means.values())
    assert len(set(means.values())) > 1, "else every round is the best"
    assert assert_as_recorded(cell, "best", phase) == min(r for r, mean in means.items() if mean == highest)


def test_only_evaluated_rounds_are_kept(tmp_path: Path) -> None:
    the_job = job(evaluate_every=3, test_updates_statistics=True)
    assert assert_as_recorded(federations.run(tmp_path, the_job, keep_models="best"), "best", "aggregated") in (3, 5)


def test_keeping_models_changes_no_number(tmp_path: Path) -> None:
    plain = federations.run(tmp_path, job(), "plain")
    cell = federations.run(tmp_path, job(), keep_models="best")
    assert (cell / "history.parquet").read_bytes() == (plain / "history.parquet").read_bytes()
    assert not (plain / "models").exists()
    same = [json.loads((folder / "run.json").read_text()) for folder in (plain, cell)]
    assert same[0]["settings"] == same[1]["settings"] and same[0]["digests"] == same[1]["digests"]


@pytest.mark.parametrize(("strategy", "files"), [("standalone", 4), ("clustered_fl", 2), ("max_common", 2)], ids=str)
def test_clients_with_equal_weights_share_a_file(tmp_path: Path, strategy: str, files: int) -> None:
    the_job = job(strategy, versions=("V1", "V2"), rounds=1)
    cell = federations.run(tmp_path, the_job, keep_models="final")
    assert len(list((cell / "models").glob("*.safetensors"))) == files
    assert assert_as_recorded(cell, "final", "aggregated") == 1


def test_the_card_says_what_it_is_and_where_it_comes_from(tmp_path: Path) -> None:
    cell = federations.run(tmp_path, job(), keep_models="final", study="small")
    card = json.loads((cell / "models/client003.json").read_text())
    record = json.loads((cell / "run.json").read_text())
    assert card["model"]["title"] == "VGG-19" and card["model"]["options"] == {"width": federations.WIDTH}
    assert card["model"]["parameters"] == sum(p.numel() for p in modelfiles.load_model(cell, 3).parameters())
    assert card["data"]["dataset"] == "digits" and card["data"]["classes"] == ["a", "b", "c", "d"]
    assert card["input"]["shape"] == [1, 32, 32] and "divided by 255" in card["input"]["normalisation"]["test"]
    assert card["run"]["study"] == "small" and card["run"]["cell"] == "digits/vgg/max_common/small/seed0"
    assert card["run"]["code"] == record["digests"]["code"] and card["run"]["commit"] == record["commit"]
    assert card["run"]["round"] == ROUNDS


def stopped(folder: Path, the_job: Job, after: int, **settings: Any) -> None:
    """Run the cell and ask it to stop at the end of a round."""

    def progress(round_number: int, *_: float | None) -> None:
        if round_number == after:
            os.kill(os.getpid(), signal.SIGTERM)

    inputs = Inputs(**federations.files(folder, the_job))
    with pytest.raises(Interrupted):
        run_cell(the_job, inputs, folder / "cell", progress, device=torch.device("cpu"), **settings)


@pytest.mark.parametrize("after", [2, ROUNDS - 1])
def test_a_stopped_run_keeps_the_same_bytes(tmp_path: Path, after: int) -> None:
    """Whether the best round lies before the stop or behind it."""
    whole = federations.run(tmp_path, job(), "whole", keep_models="best")
    assert 2 < index(whole, "best")["round"] < ROUNDS
    stopped(tmp_path, job(), after, keep_models="best")
    cell = federations.run(tmp_path, job(), keep_models="best")
    assert [s["first"] for s in json.loads((cell / "run.json").read_text())["sessions"]] == [1, after + 1]
    assert index(cell, "best") == index(whole, "best")
    names = sorted(path.name for path in (whole / "models").iterdir())
    assert names == sorted(path.name for path in (cell / "models").iterdir())
    for name in names:
        assert (cell / "models" / name).read_bytes() == (whole / "models" / name).read_bytes(), name


@pytest.mark.parametrize(
    "change", [{}, {"final": FinalNumber(phase="local")}], ids=["nothing was kept", "of the other phase"]
)
def test_a_checkpoint_without_the_best_so_far_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any
) -> None:
    stopped(tmp_path, job(), 2, keep_models="best" if change else "none")
    cell = federations.run(tmp_path, job(**change), keep_models="best")
    assert "is not used: it is of a run with other best models" in caplog.text
    assert assert_as_recorded(cell, "best", "local" if change else "aggregated")


def test_a_checkpoint_with_the_best_so_far_serves_a_run_that_keeps_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped(tmp_path, job(), 2, keep_models="best")
    with caplog.at_level(logging.INFO, "flexifed"):
        cell = federations.run(tmp_path, job())
    assert "continuing after round 2" in caplog.text
    assert not (cell / "models").exists()


def test_models_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    federations.run(tmp_path, job("standalone"), keep_models="final")
    cell = federations.run(tmp_path, job("clustered_fl", versions=("V1", "V2")), keep_models="best")
    assert sorted(path.name for path in (cell / "models").iterdir()) == [
        "best.json", "client000.json", "client000.safetensors", "client002.json", "client002.safetensors",
    ]  # fmt: skip
    assert not (federations.run(tmp_path, job()) / "models").exists()


def test_on_a_full_disk_there_are_no_models_and_no_record(tmp_path: Path) -> None:
    """The disk has 128 KiB, a model takes a megabyte."""
    inputs = Inputs(**federations.files(tmp_path, job()))
    with small_file_system(tmp_path / "disk") as disk:
        with pytest.raises(UserError, match="no space left for"):
            run_cell(job(), inputs, disk / "cell", lambda *_: None, device=torch.device("cpu"), keep_models="final")
        assert sorted(path.name for path in (disk / "cell").iterdir()) == [".lock", "history.parquet"]


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    cell = federations.run(tmp_path, job(), keep_models="final")
    with pytest.raises(UserError, match=r"say the client whose model it is to be: 0 \(client000.safetensors\), 1 "):
        modelfiles.load_model(cell)
    with pytest.raises(UserError, match="say the client"):
        modelfiles.load_model(cell, 4)
    with pytest.raises(UserError, match="holds no kept models"):
        modelfiles.load_model(tmp_path)
    with pytest.raises(UserError, match="No such file"):
        modelfiles.load_model(cell / "models/client009.safetensors")
    file = cell / "models/client001.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(UserError, match="is not the file that its card describes"):
        modelfiles.load_model(file)
    next(tmp_path.glob("*.parquet")).write_bytes(b"")
    with pytest.raises(UserError, match="its partition has been made anew since"):
        modelfiles.tested_on(cell, 0)
