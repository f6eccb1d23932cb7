"""A process for each candidate: its memory and settings are its own, and an idle one costs nothing."""

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.context import BaseContext
from typing import ParamSpec, TypeVar

from flexifed.bench import subject
from flexifed.bench.candidates import Candidate
from flexifed.bench.workload import Workload
from flexifed.system.errors import UserError

log = logging.getLogger("flexifed")

P = ParamSpec("P")
R = TypeVar("R")
K = TypeVar("K")


def _context() -> BaseContext:
    """Processes are forked from a server that has imported what they need and done nothing, so they start at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([subject.__name__, "flexifed.bench.plain"])
    return context


class Process:
    """One process, which does one call after the other."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(max_workers=1, mp_context=_context())

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Begin a call of a function of a module."""
        return self._pool.submit(function, *args, **kwargs)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function of a module there and wait for its result."""
        return self.start(function, *args, **kwargs).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


@contextmanager
def process() -> Iterator[Process]:
    """A process, ended after the block."""
    one = Process()
    try:
        yield one
    finally:
        one.close()


@contextmanager
def loaded(subjects: Mapping[K, tuple[Candidate, Workload]], device: str, threads: int) -> Iterator[dict[K, Process]]:
    """A process for each subject, which has loaded it. Engines that cannot run here are named and left out."""
    with ExitStack() as stack:
        processes = {key: stack.enter_context(process()) for key in subjects}
        loads = {
            key: processes[key].start(subject.load, candidate, workload, device, threads)
            for key, (candidate, workload) in subjects.items()
        }
        for key, load in loads.items():
            try:
                load.result()
            except UserError as error:
                log.warning("bench: %s is not measured: %s", subjects[key][0], error)
                processes.pop(key)
        yield processes
