"""One round of the FedScale guide at its own sizes: `python -m tests.scale.clicks` writes docs/clicks.csv.

Seven tables of 200,000 rows of 16, random ids, 50 of 200 clients, each with five steps of 256 samples. A round of ours
(download, steps, upload, the server's step) and, in turn, its SGD steps alone: the same models with the rows of the
same clients, stepped by `torch.optim.SGD` in a plain loop, with nothing around them. Tests are left out.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from flexifed.data import partition, samples
from flexifed.settings import registry, rng
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Optimiser, Partition, Protocol
from flexifed.sharing import plan, planning
from flexifed.system.files import complete
from flexifed.training import federation, rounds
from flexifed.training.client import batches
from flexifed.training.engine import Federation
from flexifed.training.history import History

CLIENTS, PARTICIPANTS, PER_CLIENT = 200, 50, 5 * 256
DENSE, TABLES, ROWS = 10, 7, 200_000
ROUNDS = 5  # after one that warms up
STRATEGIES = ("fedavg", "fedyogi")
TABLE = registry.PACKAGE.parent / "docs/clicks.csv"


def job(strategy: str) -> Job:
    """The guide's protocol on so many clients."""
    protocol = Protocol(
        clients=CLIENTS,
        versions=("V1",),
        participants=PARTICIPANTS,
        partition=Partition(options={}),
        slices=1,
        rounds=ROUNDS + 1,
        local_steps=5,
        batch_size=256,
        optimiser=Optimiser(momentum=0.0, weight_decay=0.0),
        tests=(),
    )
    return Job(Cell("movielens", "dlrm", strategy, "scale", 0), protocol, {}, "fast")


def write_files(folder: Path, the_job: Job) -> list[Path]:
    """Prepared data, partition and plan."""
    generator = rng.stream(0, "scale", "clicks")

    def split(n: int) -> samples.Split:
        made = np.empty(n, [("dense", "<f4", (DENSE,)), ("sparse", "<i4", (TABLES,))])
        made["dense"] = generator.normal(size=(n, DENSE))
        made["sparse"] = generator.integers(0, ROWS, (n, TABLES))
        return samples.Split(made, generator.integers(0, 2, n), None)

    shape = (DENSE, *[ROWS] * TABLES)
    data = samples.Prepared(split(CLIENTS * PER_CLIENT), split(1_000), ("no", "yes"), shape=shape)
    source = {"verified": False, "how": "random", "files": []}
    samples.write(folder / "data", data, dataset="movielens", kind="click", source=source, options={})
    settings = the_job.protocol
    partition.partition(
        folder / "data", settings.partition, clients=CLIENTS, test_set="shard", seed=0, out=folder / "partition.parquet"
    )
    versions = settings.client_versions()
    plan.write(planning.for_family("dlrm", the_job.cell.strategy, versions=versions), folder / "plan.json")
    return [folder / "data", folder / "partition.parquet", folder / "plan.json"]


def steps_alone(f: Federation, number: int) -> float:
    """Seconds of the SGD steps of a round."""
    cohort = f.attendance.cohort(number, lambda _: [])
    (model,) = f.models.values()
    seconds = 0.0
    for client in cohort:
        (turn,) = f.server.download([client])
        turn.weights.put_into(model)
        model.train()
        optimiser = torch.optim.SGD(model.parameters(), lr=f.protocol.optimiser.learning_rate)
        steps = [step.indices for step in batches(client, f.transform, f.protocol, f.seed, number)]
        inputs = [(f.transform.train(f.train.inputs[which], {}), f.train.labels[which]) for which in steps]
        began = time.perf_counter()
        for x, labels in inputs:
            optimiser.zero_grad()
            f.task.loss(model(x), labels).backward()
            optimiser.step()
        seconds += time.perf_counter() - began
    return seconds


def measure(strategy: str, folder: Path) -> dict[str, object]:
    """A row: seconds a round, of its steps alone, and their ratio; medians."""
    the_job = job(strategy)
    f = federation.assemble(the_job, *write_files(folder, the_job), device=torch.device("cpu"))
    engine = registry.load("engine", the_job.engine).create(f)
    whole, alone = [], []
    for number in range(1, ROUNDS + 2):
        began = time.perf_counter()
        rounds.Round(f, engine, number, History(), None).run()
        whole.append(time.perf_counter() - began)
        alone.append(steps_alone(f, number))
    sent = statistics.mean(f.attendance.traffic) / 1e6
    tables = sum(numbers.values.numel() for numbers in f.server.wholes.values()) * 4 / 1e6
    return {
        "strategy": strategy,
        "threads": torch.get_num_threads(),
        "round_seconds": round(statistics.median(whole[1:]), 2),
        "steps_seconds": round(statistics.median(alone[1:]), 2),
        "ratio": round(statistics.median(a / b for a, b in zip(whole[1:], alone[1:], strict=True)), 2),
        "mb_of_the_model": round(tables, 1),
        "mb_sent_by_a_participant": round(sent, 2),
    }


def main() -> None:
    """Measure both servers, and write the table."""
    rows = []
    for strategy in STRATEGIES:
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(measure(strategy, Path(scratch)))
    with complete(TABLE) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
