"""A process for each candidate: its memory and settings are its own, and an idle one costs nothing."""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Generic, ParamSpec, TypeVar

from flexifed.bench import subject
from flexifed.bench.candidates import Candidate
from flexifed.bench.workload import Workload
from flexifed.system.ended import how_it_ended
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


def _end_with_parent() -> None:
    """Or the process would wait for calls for ever, and whoever reads the parent's output for the output's end."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class Died(UserError):
    """A process is gone in the midst of its work."""


class Process:
    """One process, which does one call after the other.

    Every method that calls raises Died as soon as the process is gone, be it killed or crashed.
    """

    def __init__(self, name: str) -> None:
        """Args:
        name: what it measures, for messages.
        """
        self.name = name
        others = set(multiprocessing.active_children())
        self._pool = ProcessPoolExecutor(max_workers=1, mp_context=_context(), initializer=_end_with_parent)
        self._pool.submit(os.getpid)  # starts it
        (self._process,) = set(multiprocessing.active_children()) - others

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Call[R]":
        """Begin a call of a function of a module."""
        with self.expected_to_live(function.__name__):
            return Call(self, function.__name__, self._pool.submit(function, *args, **kwargs))

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function of a module there and wait for its result."""
        return self.start(function, *args, **kwargs).result()

    @contextmanager
    def expected_to_live(self, what: str) -> Iterator[None]:
        """Raise Died with what the process does in the block, if it is gone."""
        try:
            yield
        except BrokenProcessPool as error:
            self._pool.shutdown()  # asks for the exit code, which can be asked for once
            code = self._process.exitcode
            assert code is not None
            raise Died(
                f"bench: the process that measures {self.name} was lost: {how_it_ended(code)}, during {what}. "
                "If nobody killed it and memory was enough, please report it with the name of the processor."
            ) from error

    def kill(self) -> None:
        """End the process whatever it does."""
        self._process.kill()

    def close(self) -> None:
        """End the process when it has done its call."""
        self._pool.shutdown()


@dataclass(frozen=True, eq=False)
class Call(Generic[R]):
    """What a process has been asked to do."""

    process: Process
    what: str
    future: Future[R]

    def result(self) -> R:
        """Wait for the result."""
        with self.process.expected_to_live(self.what):
            return self.future.result()


def as_they_end(calls: Iterable[Call[R]]) -> Iterator[Call[R]]:
    """Calls of several processes in the order in which they end, so that a lost process is noticed at once."""
    by_future = {call.future: call for call in calls}
    for future in as_completed(by_future):
        yield by_future[future]


@contextmanager
def process(name: str) -> Iterator[Process]:
    """A process, ended after the block; at once where that ends with an error."""
    one = Process(name)
    try:
        yield one
    except BaseException:
        one.kill()
        raise
    finally:
        one.close()


@contextmanager
def loaded(subjects: Mapping[K, tuple[Candidate, Workload]], device: str, threads: int) -> Iterator[dict[K, Process]]:
    """A process for each subject, which has loaded it. Engines that cannot run here are named and left out.

    Raises:
        Died: a process was lost.
    """
    with ExitStack() as stack:
        names = {key: f"{candidate} on {workload.family}" for key, (candidate, workload) in subjects.items()}
        processes = {key: stack.enter_context(process(name)) for key, name in names.items()}
        loads = {
            processes[key].start(subject.load, candidate, workload, device, threads): key
            for key, (candidate, workload) in subjects.items()
        }
        for load in as_they_end(loads):
            key = loads[load]
            try:
                load.result()
            except Died:
                raise
            except UserError as error:
                log.warning("bench: %s is not measured: %s", subjects[key][0], error)
                processes.pop(key)
        yield processes
