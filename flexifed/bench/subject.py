"""A candidate, loaded: the side of a measurement that runs in a process of its own (see `process.py`)."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from flexifed.bench import arithmetic
from flexifed.bench.candidates import PLAIN, Candidate
from flexifed.bench.memory import Peak
from flexifed.bench.workload import Workload
from flexifed.settings import registry
from flexifed.training import federation, precision
from flexifed.training.engine import Engine


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


@dataclass
class Subject:
    """What a process holds; `rounds` counts the rounds that were run."""

    engine: Engine
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
    engine: Engine
    if candidate.engine == PLAIN:
        engine = plain.create(job, files["prepared"], files["partition_file"], device)
    else:
        _settings.enter_context(precision.applied(job.precision))
        assembled = federation.assemble(job, **files, device=device)
        engine = registry.load("engine", candidate.engine).create(assembled)
    _subjects[:] = [Subject(engine, candidate, device, peak)]


def run_round() -> Seconds:
    """The next round."""
    (subject,) = _subjects
    subject.rounds += 1
    return Seconds(
        train=_timed(lambda: subject.engine.train(subject.rounds)),
        aggregate=aggregate(),
        evaluate=_timed(lambda: subject.engine.evaluate(subject.rounds, train_mode=False)),
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
