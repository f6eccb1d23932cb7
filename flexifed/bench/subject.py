"""A candidate, loaded: the side of a measurement that runs in a process of its own (see `process.py`)."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import torch

from flexifed.bench import arithmetic
from flexifed.bench.candidates import PLAIN, Candidate
from flexifed.bench.memory import Peak
from flexifed.bench.workload import Workload
from flexifed.settings import registry
from flexifed.training import federation, precision
from flexifed.training.client import Turn
from flexifed.training.engine import Engine, Federation


@dataclass(frozen=True)
class Seconds:
    """Of one round: local training, aggregation, and one test of every client's model in `eval()`."""

    train: float
    aggregate: float
    evaluate: float

    @property
    def total(self) -> float:
        """Of training and test. Averaging has a table of its own, and would weigh too much in a cut-down round."""
        return self.train + self.evaluate


class Rounds(Protocol):
    """A round in the three pieces that are timed."""

    def train(self, round_number: int) -> object:
        """Train every client."""
        ...

    def aggregate(self) -> None:
        """Average what the plan shares."""
        ...

    def evaluate(self) -> object:
        """Test every client's model in `eval()`."""
        ...


class Ours:
    """The pieces of our own round: every client's turn; uploads and the server's step; tests of what comes of it."""

    def __init__(self, federation: Federation, engine: Engine) -> None:
        self.federation, self.engine = federation, engine
        self.turns: list[Turn] = []

    def train(self, round_number: int) -> None:
        """Download and train."""
        self.turns = self.federation.server.download(self.federation.clients)
        self.engine.train(round_number, self.turns)

    def aggregate(self) -> None:
        """Upload and step; what was trained may be uploaded again, to time it."""
        self.federation.server.upload(self.turns or self.federation.server.download(self.federation.clients))
        self.federation.server.step()

    def evaluate(self) -> None:
        """Download and test."""
        self.engine.test(self.federation.server.download(self.federation.clients))


@dataclass
class Subject:
    """What a process holds; `rounds` counts the rounds that were run."""

    engine: Rounds
    candidate: Candidate
    device: torch.device
    peak: Peak
    rounds: int = 0


_subjects: list[Subject] = []
"""The process's one subject, between two calls."""
_settings = ExitStack()
"""Settings of the process that the subject needs, for as long as the process lives."""


def load(candidate: Candidate, workload: Workload, device_name: str, threads: int) -> None:
    """Assemble a candidate's federation; the workload's files must be there.

    Raises:
        UserError: the engine cannot run here in this precision.
    """
    from flexifed.bench import plain  # brings torchvision along, which only these processes need

    torch.set_num_threads(threads)
    device = torch.device(device_name)
    peak = Peak(device)
    files, job = workload.files(), workload.job(candidate.engine, candidate.precision)
    engine: Rounds
    if candidate.engine == PLAIN:
        engine = plain.create(job, files["prepared"], files["partition_file"], device)
    else:
        _settings.enter_context(precision.applied(job.precision))
        assembled = federation.assemble(job, **files, device=device)
        engine = Ours(assembled, registry.load("engine", candidate.engine).create(assembled))
    _subjects[:] = [Subject(engine, candidate, device, peak)]


def run_round() -> Seconds:
    """The next round."""
    (subject,) = _subjects
    subject.rounds += 1
    return Seconds(
        train=_timed(lambda: subject.engine.train(subject.rounds)),
        aggregate=aggregate(),
        evaluate=_timed(subject.engine.evaluate),
    )


def aggregate() -> float:
    """Seconds of one aggregation."""
    return _timed(_subjects[0].engine.aggregate)


def aggregate_peak() -> float:
    """Bytes that one aggregation takes beyond what the federation holds; not a number where that is not known."""
    (subject,) = _subjects
    peak = Peak(subject.device)
    aggregate()
    return peak.bytes()


def peak() -> float:
    """Bytes taken at most since `load` began."""
    return _subjects[0].peak.bytes()


def matrix_product_rate() -> float:
    """Floating-point operations a second of large matrix products in the candidate's precision, in this process."""
    (subject,) = _subjects
    return arithmetic.matrix_product_rate(subject.device, subject.candidate.precision)


def _timed(action: Callable[[], object]) -> float:
    (subject,) = _subjects
    arithmetic.synchronise(subject.device)
    started = time.perf_counter()
    action()
    arithmetic.synchronise(subject.device)
    return time.perf_counter() - started
