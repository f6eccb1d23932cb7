"""Memory and time of FedAvg by the number of clients: `python -m tests.scale.clients` writes docs/clients.csv.

Random images of the size of MNIST, 60 for each client, dealt with repetition; ten participants a round, the 2NN of
McMahan et al. Each number of clients has three processes, whose medians count; each assembles the federation as a cell
does and runs five rounds, of which the first warms up. Tests are left out but for the last round's. Seconds are of the
processor, on one thread, so that other work on the machine does not count.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from flexifed.data import partition, samples
from flexifed.engines import stacked
from flexifed.settings import registry, rng
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Optimiser, Partition, Protocol
from flexifed.sharing import plan, planning
from flexifed.system.files import complete
from flexifed.training import federation, rounds
from flexifed.training.history import History

CLIENTS = (100, 1_000, 10_000, 100_000)
PER_CLIENT, TRAIN, TEST = 60, 60_000, 1_000
ROUNDS = 5
REPEATS = 3
TABLE = registry.PACKAGE.parent / "docs/clients.csv"


def job(clients: int) -> Job:
    """FedAvg with ten participants."""
    protocol = Protocol(
        clients=clients,
        versions=("V2",),
        participants=10,
        partition=Partition(options={}),
        slices=1,
        rounds=ROUNDS,
        evaluate_every=ROUNDS,
        local_epochs=5,
        batch_size=10,
        optimiser=Optimiser(momentum=0.0, weight_decay=0.0),
        tests=("aggregated",),
    )
    return Job(Cell("mnist", "mlp", "fedavg", "scale", 0), protocol, {}, "stacked")


def write_files(
    folder: Path, clients: int, *, family: str = "mlp", version: str = "V2", per_client: int = PER_CLIENT
) -> list[Path]:
    """Prepared data, partition and plan."""
    generator = rng.stream(0, "scale", clients)
    splits = [
        samples.Split(generator.integers(0, 256, (n, 1, 28, 28), dtype=np.uint8), generator.integers(0, 10, n), None)
        for n in (TRAIN, TEST)
    ]
    data = samples.Prepared(*splits, tuple("0123456789"))
    source = {"verified": False, "how": "random", "files": []}
    samples.write(folder / "data", data, dataset="mnist", kind="image", source=source, options={})
    lists = [
        partition.ClientSamples(generator.choice(TRAIN, per_client, replace=False), np.arange(10))
        for _ in range(clients)
    ]
    partition.write(folder / "partition.parquet", lists)
    made = planning.for_family(family, "fedavg", versions=(version,) * clients)
    plan.write(made, folder / "plan.json")
    return [folder / "data", folder / "partition.parquet", folder / "plan.json"]


def measure(clients: int, files: list[Path]) -> dict[str, float]:
    """In this process: seconds to assemble, seconds a round (median), size of the index of samples, peak memory."""
    torch.set_num_threads(1)
    began = time.process_time()
    assembled = federation.assemble(job(clients), *files, device=torch.device("cpu"))
    engine = stacked.create(assembled)
    seconds = [time.process_time() - began]
    for number in range(1, ROUNDS + 1):
        began = time.process_time()
        rounds.Round(assembled, engine, number, History(), None).run()
        seconds.append(time.process_time() - began)
    index = sum(client.train.nbytes for client in assembled.clients)
    return {
        "clients": clients,
        "assemble_seconds": round(seconds[0], 2),
        "round_seconds": round(float(np.median(seconds[2:])), 3),
        "index_mb": round(index / 1e6, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1),
    }


def main() -> None:
    """Measure every number of clients, or, with a number and a folder, that one."""
    if len(sys.argv) > 1:
        clients, folder = int(sys.argv[1]), Path(sys.argv[2])
        print(*measure(clients, [folder / "data", folder / "partition.parquet", folder / "plan.json"]).values())
        return
    rows = []
    for clients in CLIENTS:
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), clients)
            command = [sys.executable, "-m", "tests.scale.clients", str(clients), folder]
            outputs = [subprocess.check_output(command, text=True).split() for _ in range(REPEATS)]
            rows.append(np.median(np.array(outputs, float), axis=0))
            print(*rows[-1])
    columns = ["clients", "assemble_seconds", "round_seconds", "index_mb", "peak_mb"]
    with complete(TABLE) as partial:
        pd.DataFrame(rows, columns=columns).astype({"clients": int}).to_csv(partial, index=False)


if __name__ == "__main__":
    main()
