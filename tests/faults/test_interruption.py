"""Runs that are killed or asked to stop at any moment end with the same bytes as runs that are left alone."""

import dataclasses
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.settings.protocol import Partition
from flexifed.system.ended import how_it_ended
from flexifed.system.errors import UserError
from flexifed.system.interruption import EXIT_CODE, SIGNALS, Interrupted
from flexifed.training import federation
from flexifed.training.rules import Momentum
from flexifed.training.run import Inputs, run_cell
from tests.faults.conftest import FEW
from tests.miniature import small_file_system
from tests.unit import federations

FORK = multiprocessing.get_context("fork")  # torch is there already, so that a run takes half a second and not four
EVERY = [
    (engine, family, sent)
    for sent in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
    for engine in registry.names("engine")
    for family in registry.names("family")
]
SOME = [
    ("serial", "vgg", signal.SIGKILL),
    ("fast", "resnet", signal.SIGKILL),
    ("fast", "charcnn", signal.SIGTERM),
    ("fast", "vgg", signal.SIGUSR1),
]
ROUNDS = 6


def job(engine: str, family: str) -> Job:
    """A cell of six rounds with a checkpoint after each."""
    return dataclasses.replace(federations.job(family=family, rounds=ROUNDS), engine=engine)


def train(the_job: Job, inputs: Inputs, out: Path, begun: Connection) -> None:
    """One process's attempt."""
    for number in SIGNALS:  # other tests' handlers are inherited
        signal.signal(number, signal.SIG_DFL)
    begun.send(None)
    torch.set_num_threads(1)
    try:
        cpu = torch.device("cpu")
        run_cell(the_job, inputs, out, lambda *_: None, device=cpu, checkpoint_minutes=0)
    except Interrupted:
        os._exit(EXIT_CODE)
    except UserError:
        os._exit(1)


class Cell:
    """A cell that processes try to finish, and how the run looks that nothing has happened to."""

    def __init__(self, folder: Path, the_job: Job) -> None:
        self.job, self.out = the_job, folder / "cell"
        self.inputs = Inputs(**federations.files(folder, the_job))
        began = time.monotonic()
        self.finish(folder / "whole")
        self.seconds = time.monotonic() - began
        self.whole = (folder / "whole/history.parquet").read_bytes()

    def attempt(self, out: Path | None = None) -> multiprocessing.process.BaseProcess:
        """A process that goes on with the cell."""
        begun, its_end = FORK.Pipe(duplex=False)
        process = FORK.Process(target=train, args=(self.job, self.inputs, out or self.out, its_end))
        process.start()
        its_end.close()  # so that a process that dies ends the wait
        begun.recv()
        return process

    def finish(self, out: Path | None = None) -> None:
        """Go on with the cell to its end."""
        process = self.attempt(out)
        process.join()
        assert process.exitcode == 0, how_it_ended(process.exitcode)

    def begin(self, checkpoints: int) -> multiprocessing.process.BaseProcess:
        """A process that has written so many checkpoints and still trains."""
        process = self.attempt()
        while len(list(self.out.glob("checkpoints/*.json"))) < checkpoints:
            assert process.is_alive(), f"before checkpoint {checkpoints}: {how_it_ended(process.exitcode)}"
            time.sleep(0.001)
        return process

    @property
    def finished(self) -> bool:
        return (self.out / "run.json").exists()

    def check(self) -> None:
        """The finished cell is the undisturbed one; only whole files are there."""
        assert (self.out / "history.parquet").read_bytes() == self.whole
        assert sorted(path.name for path in self.out.iterdir()) == [".lock", "history.parquet", "run.json"]

    def restart(self) -> None:
        """Forget the result."""
        for name in ("history.parquet", "run.json"):
            (self.out / name).unlink()


@pytest.mark.parametrize(("engine", "family", "sent"), SOME if FEW else EVERY)
def test_signals_at_random_moments(
    tmp_path: Path, engine: str, family: str, sent: signal.Signals, count: int, tally: Callable[..., None]
) -> None:
    """At moments drawn over one and a half undisturbed runs, so some find the cell finished; those do not count."""
    cell = Cell(tmp_path, job(engine, family))
    rounds_again = disturb(cell, sent, max(1, count // 7), random.Random(f"{engine} {family} {sent.name}"))
    tally(
        f"{sent.name} while a cell trains",
        times=max(1, count // 7),
        lost=rounds_again,
        unit="rounds at most, trained again",
    )


def disturb(cell: Cell, sent: signal.Signals, wanted: int, moments: random.Random) -> int:
    """Send so many signals, and then see that the cell ends as it should; returns rounds trained again at most."""
    hits = rounds_again = 0
    while hits < wanted:
        process = cell.attempt()
        process.join(timeout=moments.uniform(0, 1.5 * cell.seconds))
        if process.is_alive():
            os.kill(process.pid, sent)
            process.join()
            hits += 1
            rounds_again += sent is signal.SIGKILL
            assert process.exitcode in (-sent, EXIT_CODE, 0)
        if cell.finished:
            cell.check()
            cell.restart()
    cell.finish()
    cell.check()
    return rounds_again


@pytest.mark.parametrize("engine", registry.names("engine"))
def test_kills_of_a_federation_with_absent_clients_a_servers_momentum_and_an_objective(
    tmp_path: Path, engine: str, count: int, tally: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten of a hundred clients, FedProx, and FedAvgM's rule in place of its mean."""
    monkeypatch.setattr(federation, "server_rule", lambda the_job: Momentum(0.9, 1.0))
    partition = Partition(partitioner="iid", options={"parts": 0})
    settings = {"clients": 100, "versions": ("V1",), "participants": 0.1, "slices": 1, "test_set": "whole"}
    the_job = federations.job("fedprox", family="mlp", rounds=20, partition=partition, local_epochs=1, **settings)
    federations.prepared(tmp_path / "image", n_train=400, n_test=32)
    cell = Cell(tmp_path, dataclasses.replace(the_job, engine=engine, strategy_options={"mu": 0.1}))
    rounds_again = disturb(cell, signal.SIGKILL, count, random.Random(engine))
    tally(
        "SIGKILL while ten of a hundred clients train",
        times=count,
        lost=rounds_again,
        unit="rounds at most, trained again",
    )


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT], ids=lambda s: s.name)
def test_a_run_that_is_asked_to_stop_says_that_it_wants_to_be_run_again(
    tmp_path: Path, sent: signal.Signals, tally: Callable[..., None]
) -> None:
    cell = Cell(tmp_path, job("fast", "vgg"))
    process = cell.begin(checkpoints=1)
    os.kill(process.pid, sent)
    process.join()
    assert process.exitcode == EXIT_CODE
    cell.finish()
    cell.check()
    sessions = json.loads((cell.out / "run.json").read_text())["sessions"]
    assert sessions[0]["first"] == 1 and sessions[1]["first"] > 1
    tally(f"{sent.name} between checkpoints", lost=0)


@pytest.mark.parametrize("what", ["cut short", "bit flipped"])
def test_a_damaged_checkpoint_costs_one_round(
    tmp_path: Path, what: str, count: int, tally: Callable[..., None]
) -> None:
    """At random places of either of its files; the one before is used."""
    cell = Cell(tmp_path, job("fast", "resnet"))
    places = random.Random(what)
    for _ in range(count):
        process = cell.begin(checkpoints=2)
        os.kill(process.pid, signal.SIGTERM)
        process.join()
        newest = max(path.stem for path in cell.out.glob("checkpoints/*.json"))
        damaged = cell.out / f"checkpoints/{newest}{places.choice(['.json', '.safetensors'])}"
        data = bytearray(damaged.read_bytes())
        place = places.randrange(len(data))
        if what == "cut short":
            data = data[:place]
        else:
            data[place] ^= 1 << places.randrange(8)
        damaged.write_bytes(data)
        cell.finish()
        sessions = json.loads((cell.out / "run.json").read_text())["sessions"]
        assert sessions[-1]["first"] == int(newest.removeprefix("round")), "it went on after the round before"
        cell.check()
        cell.restart()
    tally(f"checkpoint {what}", times=count, lost=count, unit="rounds, trained again")


def test_a_full_disk_ends_a_cell_and_room_lets_it_end_well(tmp_path: Path, tally: Callable[..., None]) -> None:
    """Neither checkpoint nor record fit; nothing half-written is left; with room the same command ends well."""
    cell = Cell(tmp_path, job("fast", "vgg"))
    with small_file_system(tmp_path / "disk") as disk:
        (disk / "ballast").write_bytes(b"x" * 124 * 1024)
        cell.out = disk / "cell"
        process = cell.attempt()
        process.join()
        assert process.exitcode == 1
        assert not cell.finished
        assert {path.name for path in cell.out.rglob("*") if path.is_file()} <= {".lock", "history.parquet"}
        (disk / "ballast").unlink()
        cell.finish()
        cell.check()
    tally("disk full while a cell trains", lost=ROUNDS, unit="rounds, trained again")
