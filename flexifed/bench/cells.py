"""Threads for one cell against cells side by side, on a CPU: which use of the cores trains more samples a second."""

import logging
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

from flexifed.bench import memory, subject
from flexifed.bench.candidates import Candidate
from flexifed.bench.process import Process, as_they_end, process
from flexifed.bench.sizes import WARM_UPS, Limit
from flexifed.bench.turns import in_turn, ratios, spread
from flexifed.bench.workload import Workload

log = logging.getLogger("flexifed")

COLUMNS = (
    "family", "width", "candidate", "precision", "cells", "threads", "repetitions", "seconds", "seconds_low",
    "seconds_high", "samples_per_second", "ratio", "ratio_low", "ratio_high",
)  # fmt: skip
"""Of cells.csv.

`cells`: side by side, each with `threads` threads. `seconds`: until every cell has finished its round.
`samples_per_second`: of all cells together. `ratio`: in that, to one cell on all cores, turn by turn.
"""

MEMORY_SHARE = 0.8
"""Of the memory that is free, which the cells may take together."""


def measure(
    workload: Workload, candidate: Candidate, limit: Limit, *, cores: int, cell_bytes: float
) -> list[dict[str, Any]]:
    """A row for one cell on all cores and a row for as many cells of one thread; the second only where memory allows.

    Args:
        workload: of a cell; its files must be there.
        candidate: an engine.
        limit: for both together.
        cores: at least two.
        cell_bytes: what a cell takes at most.
    """
    if cores * cell_bytes > MEMORY_SHARE * memory.available(torch.device("cpu")):
        log.warning("bench: %d cells of %s side by side do not fit into memory: not measured", cores, workload.family)
        return []
    with ExitStack() as stack:
        name = f"{candidate} on {workload.family}"
        together = {n: [stack.enter_context(process(name)) for _ in range(n)] for n in (1, cores)}
        for cells, processes in together.items():
            for one in processes:
                one.call(subject.load, candidate, workload, "cpu", cores // cells)
        turns = {cells: partial(_round, processes) for cells, processes in together.items()}
        measured = in_turn(turns, limit, warm_ups=WARM_UPS)
    alone = [seconds * cores for seconds in measured[1]]  # for as many samples as the cells side by side train
    rows = []
    for cells, seconds in measured.items():
        same_work = [cores / cells * one for one in seconds]
        rows.append(
            {
                "family": workload.family,
                "width": workload.width,
                "candidate": candidate.engine,
                "precision": candidate.precision,
                "cells": cells,
                "threads": cores // cells,
                "repetitions": len(seconds),
                **spread(seconds).columns("seconds"),
                "samples_per_second": cells * workload.samples / spread(seconds).median,
                **ratios(alone, same_work).columns("ratio"),
            }
        )
    return rows


def _round(processes: list[Process]) -> float:
    """Seconds until every process has run a round."""
    started = time.perf_counter()
    for round_ in as_they_end([one.start(subject.run_round) for one in processes]):
        round_.result()
    return time.perf_counter() - started
