"""Aggregation against the number of clients: every engine's way against averaging pair by pair."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from flexifed import models
from flexifed.bench import subject
from flexifed.bench.candidates import FLOAT32, PLAIN, Candidate
from flexifed.bench.process import loaded
from flexifed.bench.sizes import Limit
from flexifed.bench.turns import in_turn, ratios, spread
from flexifed.bench.workload import CLASSES, SHAPES, Workload

COLUMNS = (
    "family", "clients", "width", "candidate", "repetitions", "seconds", "seconds_low", "seconds_high", "ratio",
    "ratio_low", "ratio_high", "extra_models",
)  # fmt: skip
"""Of aggregation.csv.

`width`: the widest that fits into memory. `ratio`: pairwise seconds by the candidate's, turn by turn. `extra_models`:
memory taken beyond the clients' weights, in models of the family's mean size.
"""

MEMORY_SHARE = 0.8
"""Of the memory that is free, which all candidates may take together."""
PLAIN_MODELS, ENGINE_MODELS = 2.0, 1.25
"""Models that a candidate holds for each client: pairwise averaging copies all of them, an engine a few at most."""


def model_bytes(workload: Workload) -> float:
    """Mean size of the clients' models, buffers included."""
    kind, versions = workload.kind, workload.protocol.versions
    options = workload.job("serial", FLOAT32).family_options
    states = [
        models.build_meta(workload.family, version, SHAPES[kind], CLASSES[kind], options).state_dict()
        for version in versions
    ]
    return float(sum(tensor.nbytes for state in states for tensor in state.values())) / len(states)


def fitting(sizes: Sequence[Workload], n_engines: int, available: float) -> Workload:
    """The first workload whose candidates fit into memory together, the last one if none does."""
    for workload in sizes:
        needed = workload.protocol.clients * model_bytes(workload) * (PLAIN_MODELS + ENGINE_MODELS * n_engines)
        if not needed > MEMORY_SHARE * available:
            return workload
    return sizes[-1]


def measure(
    workload: Workload, candidates: Iterable[Candidate], limit: Limit, *, device: str, threads: int
) -> list[dict[str, Any]]:
    """One row for each candidate, for one number of clients. The first aggregation measures memory, not time."""
    workload.write()
    with loaded({one: (one, workload) for one in candidates}, device, threads) as processes:
        extra = {one: process.call(subject.aggregate_peak) for one, process in processes.items()}
        turns = {one: partial(p.call, subject.aggregate) for one, p in processes.items()}
        measured = in_turn(turns, limit)
    pairwise = measured[Candidate(PLAIN, FLOAT32)]
    return [
        {
            "family": workload.family,
            "clients": workload.protocol.clients,
            "width": workload.width,
            "candidate": "pairwise" if candidate.engine == PLAIN else candidate.engine,
            "repetitions": len(seconds),
            **spread(seconds).columns("seconds"),
            **ratios(pairwise, seconds).columns("ratio"),
            "extra_models": extra[candidate] / model_bytes(workload),
        }
        for candidate, seconds in measured.items()
    ]
