"""What a round costs as clients, samples or layers are added, with the fastest engine."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flexifed import models
from flexifed.bench import subject
from flexifed.bench.candidates import FLOAT32, Candidate
from flexifed.bench.process import loaded
from flexifed.bench.sizes import WARM_UPS, Limit, Size
from flexifed.bench.turns import in_turn, spread
from flexifed.bench.workload import CLASSES, SHAPES, Workload
from flexifed.sharing.layers import chain

COLUMNS = (
    "varied", "value", "family", "versions", "width", "candidate", "precision", "clients", "samples_per_client",
    "steps", "repetitions", "seconds", "seconds_low", "seconds_high",
)  # fmt: skip
"""Of scaling.csv. `varied`: clients, samples (per client) or depth (weight layers of the one version that all hold)."""


def curves(base: Workload, size: Size) -> dict[str, dict[int, Workload]]:
    """The workloads of each curve: varied -> value -> workload. Only the varied quantity differs along a curve."""
    parts = max(size.scaling_clients)
    by_parts = [base.varied(parts=p) for p in size.scaling_parts]
    by_version = [base.varied(versions=(version,)) for version in base.protocol.versions]
    return {
        "clients": {n: base.varied(parts=parts, clients=n) for n in size.scaling_clients},
        "samples": {one.samples_per_client: one for one in by_parts},
        "depth": {_depth(one): one for one in by_version},
    }


def _depth(workload: Workload) -> int:
    """Weight layers of the version that all clients hold."""
    (version,) = workload.protocol.versions
    options, kind = workload.job("serial", FLOAT32).family_options, workload.kind
    return len(chain(models.build_meta(workload.family, version, SHAPES[kind], CLASSES[kind], options)))


def measure(
    varied: str,
    curve: Mapping[int, Workload],
    candidate: Candidate,
    limit: Limit,
    *,
    device: str,
    threads: int,
) -> list[dict[str, Any]]:
    """One row for each point of a curve; the points are measured in turn."""
    for workload in curve.values():
        workload.write()
    with loaded({value: (candidate, workload) for value, workload in curve.items()}, device, threads) as processes:
        turns = {value: partial(p.call, subject.run_round) for value, p in processes.items()}
        measured = in_turn(turns, limit, warm_ups=WARM_UPS)
    totals = {value: [one.total for one in rounds] for value, rounds in measured.items()}
    return [
        {
            "varied": varied,
            "value": value,
            "family": curve[value].family,
            "versions": " ".join(curve[value].protocol.versions),
            "width": curve[value].width,
            "candidate": candidate.engine,
            "precision": candidate.precision,
            "clients": curve[value].protocol.clients,
            "samples_per_client": curve[value].samples_per_client,
            "steps": curve[value].steps,
            "repetitions": len(seconds),
            **spread(seconds).columns("seconds"),
        }
        for value, seconds in totals.items()
    ]
