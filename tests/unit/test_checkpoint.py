"""A run that is stopped goes on where it was, and only from a checkpoint of its own."""

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.system.errors import UserError
from flexifed.system.interruption import Interrupted
from flexifed.training import tensorfile
from flexifed.training.run import Inputs, run_cell
from tests.miniature import small_file_system
from tests.unit import federations

HOLD = """
import pathlib, sys
from flexifed.system import locks
with locks.alone(pathlib.Path(sys.argv[1]), "a test"):
    print("held", flush=True)
    input()
"""
ENGINES = registry.names("engine")
ROUNDS = 4


def job(engine: str = "fast", **overrides: Any) -> Job:
    return dataclasses.replace(federations.job(**{"rounds": ROUNDS, "clients": 8, **overrides}), engine=engine)


def run_until(folder: Path, the_job: Job, stop_after: int, name: str = "cell") -> Path:
    """Run and send the process SIGTERM at the end of a round; returns the folder with the checkpoints."""

    def progress(round_number: int, *_: float | None) -> None:
        if round_number == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    inputs = Inputs(**federations.files(folder, the_job))
    with pytest.raises(Interrupted, match=f"stopped after round {stop_after} by SIGTERM"):
        run_cell(the_job, inputs, folder / name, progress, device=torch.device("cpu"), checkpoint_minutes=0)
    return folder / name / "checkpoints"


def sessions(cell: Path) -> list[int]:
    return [session["first"] for session in json.loads((cell / "run.json").read_text())["sessions"]]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", registry.names("family"))
def test_a_stopped_run_ends_with_the_same_bytes(tmp_path: Path, engine: str, family: str) -> None:
    the_job = job(engine, family=family, rounds=3, clients=4)
    whole = federations.run(tmp_path, the_job, "whole")
    run_until(tmp_path, the_job, 2)
    resumed = federations.run(tmp_path, the_job)
    assert (resumed / "history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()
    assert sessions(whole) == [1]
    assert sessions(resumed) == [1, 3]
    assert not (resumed / "checkpoints").exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_kept_momentum_survives_a_stop(tmp_path: Path, engine: str) -> None:
    the_job = job(engine, optimiser=federations.protocol.Optimiser(state="kept"), rounds=3, clients=4)
    whole = federations.run(tmp_path, the_job, "whole")
    run_until(tmp_path, the_job, 2)
    resumed = federations.run(tmp_path, the_job)
    assert sessions(resumed) == [1, 3]
    assert (resumed / "history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    folder = run_until(tmp_path, job(), 3)
    assert sorted(path.name for path in folder.iterdir()) == [
        "round000002.json", "round000002.safetensors", "round000003.json", "round000003.safetensors",
    ]  # fmt: skip


def test_later_ones_of_another_run_do_not_push_out_new_ones(tmp_path: Path) -> None:
    """The learning rate is changed after round 3; the new run is stopped after round 1, and goes on from there."""
    run_until(tmp_path, job(), 3)
    other = job(optimiser=federations.protocol.Optimiser(learning_rate=0.05))
    folder = run_until(tmp_path, other, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["round000001.json", "round000001.safetensors"]
    assert sessions(federations.run(tmp_path, other)) == [1, 2]


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("damage", [flip_a_bit, cut_short, Path.unlink, lambda path: path.write_text("[]")])
def test_instead_of_a_damaged_one_the_one_before_is_used_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str, damage: Any
) -> None:
    whole = federations.run(tmp_path, job(), "whole")
    newest = run_until(tmp_path, job(), 3) / f"round000003{suffix}"
    damage(newest)
    with caplog.at_level(logging.INFO, "flexifed"):
        resumed = federations.run(tmp_path, job())
    assert sessions(resumed)[-1] == 3  # it went on after round 2
    assert (resumed / "history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()
    if not (suffix == ".json" and damage is Path.unlink):  # then there is nothing that could be named
        assert "round000003.json is not used" in caplog.text


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (job(seed=1), "cell"),
        (job(optimiser=federations.protocol.Optimiser(learning_rate=0.02)), "protocol"),
        (job("serial"), "engine"),
        (dataclasses.replace(job(), precision="bfloat16"), "precision"),
        (dataclasses.replace(job(), family_options={"width": 0.0625, "dropout": "after"}), "family_options"),
    ],
)
def test_a_checkpoint_of_another_run_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: Job, named: str
) -> None:
    run_until(tmp_path, job(), 3)
    resumed = federations.run(tmp_path, changed)
    assert sessions(resumed) == [1]
    assert "is not used: it is of a run with other" in caplog.text
    assert named in caplog.text
    fresh = federations.run(tmp_path, changed, "fresh")
    assert (resumed / "history.parquet").read_bytes() == (fresh / "history.parquet").read_bytes()


def test_a_checkpoint_of_other_code_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_until(tmp_path, job(), 2)
    monkeypatch.setattr(Job, "code", lambda self: "0123456789abcdef")
    assert sessions(federations.run(tmp_path, job())) == [1]
    assert "it is of a run with other code" in caplog.text


def test_on_a_full_disk_the_run_goes_on_without_a_checkpoint_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The weights of eight clients take megabytes, the disk has 128 KiB; history and record do fit."""
    the_job = job()
    whole = federations.run(tmp_path, the_job, "whole")
    with small_file_system(tmp_path / "disk") as disk:
        inputs = Inputs(**federations.files(tmp_path, the_job))
        run_cell(the_job, inputs, disk / "cell", lambda *_: None, device=torch.device("cpu"), checkpoint_minutes=0)
        assert "no checkpoint after round 1: no space left for" in caplog.text
        assert (disk / "cell/history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()
        assert not (disk / "cell/checkpoints").exists()


def test_two_processes_do_not_train_one_cell(tmp_path: Path) -> None:
    """The second is refused while the first holds the cell, and not because of a file that the first has left."""
    (tmp_path / "cell").mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "cell/.lock")],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(
        UserError,
        match=rf"training of digits/vgg/max_common/small/seed0 is under way in another process \({holder.pid}\)",
    ):
        federations.run(tmp_path, job())
    holder.kill()
    holder.wait()
    federations.run(tmp_path, job())


def test_checkpoints_are_written_no_more_often_than_asked_for(tmp_path: Path) -> None:
    seen = []

    def progress(round_number: int, *_: float | None) -> None:
        seen.append((tmp_path / "cell/checkpoints").exists())

    inputs = Inputs(**federations.files(tmp_path, job()))
    run_cell(job(), inputs, tmp_path / "cell", progress, device=torch.device("cpu"), checkpoint_minutes=60)
    assert seen == [False] * ROUNDS


def test_the_tensors_are_what_the_safetensors_library_reads(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 5), "b": torch.arange(4), "c": torch.zeros(0), "d": torch.randn(2).double()}
    tensors["e"] = torch.arange(6, dtype=torch.uint8).view(2, 3)
    with (tmp_path / "x.safetensors").open("wb") as stream:
        tensorfile.write(stream, tensors, {"said": "of them"})
    with safetensors.safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata() == tensorfile.read_metadata(tmp_path / "x.safetensors") == {"said": "of them"}
    theirs = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert set(theirs) == set(tensors)
    assert all(torch.equal(theirs[name], tensor) for name, tensor in tensors.items())
    safetensors.torch.save_file(tensors, tmp_path / "y.safetensors")
    ours = {name: torch.full_like(tensor, 7) for name, tensor in tensors.items()}
    tensorfile.read_into(tmp_path / "y.safetensors", ours)
    assert all(torch.equal(ours[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"a": torch.zeros(3), "b": torch.zeros(2)}, "holds 1 tensors, not the 2 expected"),
        ({"a": torch.zeros(4)}, r"a is F32 \[3\]"),
        ({"a": torch.zeros(3, dtype=torch.int64)}, r"a is F32 \[3\]"),
    ],
)
def test_other_tensors_than_expected_change_nothing(
    tmp_path: Path, expected: dict[str, torch.Tensor], said: str
) -> None:
    with (tmp_path / "x").open("wb") as stream:
        tensorfile.write(stream, {"a": torch.ones(3)})
    with pytest.raises(ValueError, match=said):
        tensorfile.read_into(tmp_path / "x", expected)
    assert all((tensor == 0).all() for tensor in expected.values())
