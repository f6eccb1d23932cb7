"""What a kept model's card says: what it is, from which run, how accurate on what, and how to load it."""

import dataclasses
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.training.keeping import Keeper

LOAD = (
    "flexifed.load_model(file), or (folder, client), gives the torch.nn.Module in eval mode; what it takes is under "
    "`input`. flexifed.tested_on(folder, client) gives the client's test samples in that form, and their labels."
)


@dataclass(frozen=True)
class Origin:
    """The run that models are kept of.

    Attributes:
        study: its name.
        job: the cell and its settings.
        record: the run record.
        prepared: folder of the prepared data set.
        partition_file: which client holds which samples.
        reached: the task's metric in `eval()`, as recorded, by client; not of those that have none of their own.
    """

    study: str
    job: Job
    record: Mapping[str, Any]
    prepared: Path
    partition_file: Path
    reached: Mapping[int, float]


def card(origin: Origin, keeper: Keeper, clients: Sequence[int], folder: Path) -> dict[str, Any]:
    """The card of a model that these clients hold, ready for JSON; paths are as seen from `folder`."""
    return {
        "model": _model(origin, keeper.federation.clients[clients[0]].version),
        "data": _data(origin),
        "input": _input(origin),
        "run": run(origin, keeper),
        "accuracy": [
            {
                "client": client,
                keeper.metric: origin.reached.get(client),
                "test_samples": len(keeper.federation.clients[client].test),
            }
            for client in clients
        ],
        "tested_on": {
            "what": "of the data set's test split the samples that the partition gives to the client",
            "prepared": os.path.relpath(origin.prepared, folder),
            "partition": os.path.relpath(origin.partition_file, folder),
            "partition_sha256": origin.record["digests"]["partition"],
        },
        "load": LOAD,
    }


def run(origin: Origin, keeper: Keeper) -> dict[str, Any]:
    """Which run and round the models are from."""
    record, settings = origin.record, origin.record["settings"]
    return {
        "study": origin.study,
        "cell": str(origin.job.cell),
        "commit": record["commit"],
        "code": record["digests"]["code"],
        "engine": settings["engine"],
        "precision": settings["precision"],
        "kept": keeper.kept,
        "round": keeper.round,
        "rounds": origin.job.protocol.rounds,
        "phase": keeper.phase,
    }


def _model(origin: Origin, version: str) -> dict[str, Any]:
    family = origin.job.cell.family
    titles = registry.constant("family", family, "TITLES")
    return {
        "family": family,
        "version": version,
        "title": titles[registry.constant("family", family, "VERSIONS").index(version)],
        "options": dict(origin.job.family_options),
        "parameters": origin.record["parameters"][version],
    }


def _data(origin: Origin) -> dict[str, Any]:
    data = origin.record["data"]
    return {"dataset": origin.job.cell.dataset, **{key: data[key] for key in ("classes", "options", "digests")}}


def _input(origin: Origin) -> dict[str, Any]:
    """The transform of the data set's test samples, with its constants."""
    transform: Any = registry.load("dataset", origin.job.cell.dataset).TRANSFORM
    return {
        "shape": origin.record["data"]["shape"],
        "stored_as": origin.record["data"]["dtype"],
        "normalisation": {
            "transform": type(transform).__name__,
            "test": inspect.getdoc(transform.test),
            "settings": dataclasses.asdict(transform),
        },
    }
