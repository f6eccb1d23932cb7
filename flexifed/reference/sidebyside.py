"""Works through a queue for so many minutes: cells as processes side by side, stopped with a checkpoint at the end.

A cell is a process of its own (`python -m flexifed run`), so that memory and faults are its own. It inherits the cell's
lock, which the kernel gives back when the last process that holds it is gone: after a kill nothing has to be tidied up.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from flexifed.reference.queue import Queue
from flexifed.settings import layout
from flexifed.settings.registry import PACKAGE
from flexifed.study.single import Run
from flexifed.system import files, locks
from flexifed.system.ended import how_it_ended
from flexifed.system.interruption import EXIT_CODE, Interrupted, noticed

log = logging.getLogger("flexifed")

POLL_SECONDS = 0.2
JOBS_ON_GPU = 5
"""At most so many cells side by side on a GPU unless told otherwise: the strategies of a block."""
SETTLED_SECONDS = 30.0
"""By then a cell has been through its first round, which takes as much memory as any."""
SHARE = 0.9
"""Of the free memory that cells may take together."""
PR_SET_PDEATHSIG = 1


@dataclass
class Running:
    """A cell in a process of its own.

    Attributes:
        lock: of the cell, also held by the process.
        log: where the process says what it does.
        started: `time.monotonic()`.
        side_by_side: the largest number of cells that ran at a time while it did.
    """

    run: Run
    process: subprocess.Popen[bytes]
    lock: IO[str]
    log: Path
    started: float
    side_by_side: int = 1

    def seconds(self) -> float:
        """For how long it has run."""
        return time.monotonic() - self.started


class Memory:
    """Whether one more cell fits on a GPU.

    A cell needs as much as another of its data set, family and protocol. That is measured while one of them runs alone:
    the free memory before the first cell minus the free memory now. Until it is known, nothing is run beside it.
    """

    def __init__(self, free: Callable[[], float]) -> None:
        """Args:
        free: bytes that are free on the GPU at the moment; called here before any cell runs.
        """
        self._free = free
        self._before = free()
        self._needs: dict[tuple[str, ...], float] = {}

    def observe(self, running: Sequence[Running]) -> None:
        """Measure, where a single cell runs and has settled."""
        if len(running) == 1 and running[0].seconds() >= SETTLED_SECONDS:
            kind = _kind(running[0].run)
            self._needs[kind] = max(self._needs.get(kind, 0.0), self._before - self._free())

    def fits(self, run: Run, running: Sequence[Running]) -> bool:
        """Whether a cell may be started beside others."""
        kinds = [_kind(each) for each in (run, *(one.run for one in running))]
        known = all(kind in self._needs for kind in kinds)
        return not running or (known and sum(self._needs[kind] for kind in kinds) <= SHARE * self._before)


class Unlimited:
    """Memory as it is treated on a CPU: the number of jobs is the user's to choose."""

    def observe(self, running: Sequence[Running]) -> None:
        """Nothing is measured."""

    def fits(self, run: Run, running: Sequence[Running]) -> bool:
        """Always."""
        return True


def _kind(run: Run) -> tuple[str, ...]:
    cell = run.job.cell
    return cell.dataset, cell.family, cell.protocol


def room(device: str | None, jobs: int | None) -> tuple[Memory | Unlimited, int]:
    """What limits the cells side by side on a device: memory, and a number (on a CPU one, unless given)."""
    import torch

    if not (torch.cuda.is_available() if device is None else device.startswith("cuda")):
        return Unlimited(), jobs or 1
    where = torch.device(device or "cuda")
    return Memory(lambda: float(torch.cuda.mem_get_info(where)[0])), jobs or JOBS_ON_GPU


class Work:
    """One call's work on a queue."""

    def __init__(self, queue: Queue, memory: Memory | Unlimited, jobs: int, device: str | None) -> None:
        """Args:
        queue: what to work on.
        memory: says whether one more cell fits.
        jobs: at most so many cells at a time.
        device: as PyTorch calls it; by default a GPU if there is one.
        """
        self.queue, self.memory, self.jobs, self.device = queue, memory, jobs, device
        self.running: list[Running] = []
        self.failed: list[str] = []

    def go(self, minutes: float, again: bool) -> None:
        """Publish what is finished, and run what is missing until it is done or the time is over.

        Args:
            minutes: after which every running cell is asked to stop; it finishes its round and leaves a checkpoint.
            again: run stale cells, too, after all others.

        Raises:
            Interrupted: a signal asked to stop; every cell has stopped with a checkpoint.
        """
        deadline = time.monotonic() + 60 * minutes
        standings = list(self.queue.standings())
        for standing in standings:
            if standing.state == "trained":
                self._take(standing.run)
        waiting = [s.run for s in standings if s.state in ("missing", "begun", "running")]
        waiting += [s.run for s in standings if again and s.state == "stale"]
        stopping = False
        with noticed() as request:
            while self.running or (waiting and not stopping):
                self._reap()
                if not stopping and (request.name or time.monotonic() >= deadline):
                    stopping = True
                    self._stop()
                if not stopping:
                    self.memory.observe(self.running)
                    if not self._take_next(waiting) and not self.running:
                        break  # all that is left is run by another process
                time.sleep(POLL_SECONDS)
        if request.name:
            raise Interrupted(f"{self.queue.folder}: stopped by {request.name}")

    def _take_next(self, waiting: list[Run]) -> bool:
        """Take the first cell that no other process has, if there is room for it; returns whether one was taken."""
        if len(self.running) >= self.jobs:
            return False
        for run in waiting:
            if not self.memory.fits(run, self.running):
                return False
            if self._take(run):
                waiting.remove(run)
                return True
        return False

    def _take(self, run: Run) -> bool:
        """Do what is left to do about a cell, unless another process has it; returns whether it was to be had."""
        if (lock := locks.attempt(self.queue.lock(run))) is None:
            return False
        state = self.queue.recorded(run).state  # under the lock: another process may have been at it
        if state not in ("done", "trained"):
            self._start(run, lock)
            return True
        with lock:
            if state == "trained":
                self._publish(run, None)
        return True

    def _start(self, run: Run, lock: IO[str]) -> None:
        job = self.queue.file(run, layout.CELL).with_suffix(".json")
        files.write_json(job, run.to_json())
        out = self.queue.work / "logs" / layout.CELL.format(**vars(run.job.cell))
        out.parent.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
        device = ["--device", self.device] if self.device else []
        with out.with_suffix(".log").open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "flexifed", "run", str(job), *device],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": path},
                pass_fds=[lock.fileno()],
                process_group=0,  # Ctrl-C reaches this process alone, which passes it on
                preexec_fn=_follow_parent if sys.platform == "linux" else None,
            )
        self.running.append(Running(run, process, lock, out.with_suffix(".log"), time.monotonic()))
        for one in self.running:
            one.side_by_side = max(one.side_by_side, len(self.running))
        log.info("started  %s", run.job.cell)

    def _reap(self) -> None:
        for one in [one for one in self.running if one.process.poll() is not None]:
            self.running.remove(one)
            with one.lock:
                self._ended(one)

    def _ended(self, one: Running) -> None:
        cell, code = one.run.job.cell, one.process.returncode
        if code == 0:
            self._publish(one.run, one.side_by_side)
        elif code in (EXIT_CODE, -signal.SIGTERM):
            log.info("stopped  %s", self.queue.recorded(one.run))
        else:
            lines = [line for line in one.log.read_text().splitlines() if line.strip()]
            said = f", last words: {lines[-1]}" if lines else ""
            self.failed.append(f"{cell}: {how_it_ended(code)}{said} ({one.log})")
            log.error("failed   %s", self.failed[-1])

    def _publish(self, run: Run, side_by_side: int | None) -> None:
        self.queue.publish(run, side_by_side)
        log.info("finished %s", run.job.cell)

    def _stop(self) -> None:
        for one in self.running:
            one.process.terminate()


def _follow_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent is gone, even killed: the cell then stops after its round."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
