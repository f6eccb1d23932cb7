"""Seconds a round of FedAvg at the scale of shaoxiongji/federated-learning, by whom: `python -m tests.scale.race`.

Ten of a hundred clients with 600 images each, five epochs, batches of ten: 3,000 steps a round. Each contender takes a
round in turn, in one process, on random images of the size of MNIST; tests are left out. `plain` is the loop that
everybody writes: a module, `torch.optim.SGD`, samples in memory, no DataLoader. Flower and fedjax, where they are
installed (`peers`), run their rounds after that. Writes docs/race.csv, or the file that is named.
"""

import copy
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed import models
from flexifed.models import set_generator
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.system.files import complete
from flexifed.training import federation, rounds
from flexifed.training.engine import Federation
from flexifed.training.history import History
from tests.scale import clients, peers

ENGINES = ("fast", "stacked")
ROUNDS = 5  # after one that warms up
TABLE = registry.PACKAGE.parent / "docs/race.csv"


def job(family: str) -> Job:
    """The small models of shaoxiongji's code."""
    of_clients = clients.job(100)
    optimiser = replace(of_clients.protocol.optimiser, momentum=0.5)
    protocol = replace(of_clients.protocol, versions=("V1",), optimiser=optimiser, tests=(), rounds=ROUNDS + 1)
    return Job(Cell("mnist", family, "fedavg", "race", 0), protocol, peers.OPTIONS[family], "stacked")


class Plain:
    """FedAvg as a loop over clients and batches."""

    def __init__(self, f: Federation, the_job: Job) -> None:
        self.f, self.settings = f, the_job.protocol
        generator = torch.Generator().manual_seed(0)
        self.model = models.build(the_job.cell.family, "V1", (1, 28, 28), 10, the_job.family_options, generator)
        set_generator(self.model, generator)
        self.inputs = f.transform.test(f.train.inputs)

    def round(self, number: int) -> None:
        states = [self.train(copy.deepcopy(self.model), k) for k in torch.randperm(self.settings.clients)[:10].tolist()]
        self.model.load_state_dict({name: sum(s[name] for s in states) / len(states) for name in states[0]})

    def train(self, model: nn.Module, client: int) -> dict[str, Tensor]:
        held = torch.from_numpy(self.f.clients[client].train)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
        for _ in range(self.settings.local_epochs):
            for batch in held[torch.randperm(len(held))].split(10):
                optimiser.zero_grad()
                functional.cross_entropy(model(self.inputs[batch]), self.f.train.labels[batch]).backward()
                optimiser.step()
        return model.state_dict()


class Ours:
    """A round of one of our engines."""

    def __init__(self, f: Federation, engine: str) -> None:
        self.f, self.engine = f, registry.load("engine", engine).create(f)

    def round(self, number: int) -> None:
        rounds.Round(self.f, self.engine, number, History(), None).run()


def race(family: str, folder: Path) -> list[dict[str, object]]:
    """A row for each contender."""
    the_job = job(family)
    files = clients.write_files(folder, 100, family=family, version="V1", per_client=600)
    there = {e: federation.assemble(the_job, *files, device=torch.device("cpu")) for e in ENGINES}
    contenders: dict[str, Plain | Ours] = {"plain": Plain(there["fast"], the_job)}
    contenders |= {engine: Ours(f, engine) for engine, f in there.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, ROUNDS + 2):
        for name, one in contenders.items():
            began = time.perf_counter()
            one.round(number)
            seconds[name].append(time.perf_counter() - began)
    timed = {name: values[1:] for name, values in seconds.items()} | peers.seconds(family, ROUNDS)
    return [
        {
            "family": family,
            "by": name,
            "threads": torch.get_num_threads(),
            "seconds": round(statistics.median(values), 2),
            "low": round(min(values), 2),
            "high": round(max(values), 2),
        }
        for name, values in timed.items()
    ]


def main(table: Path) -> None:
    """Race with every model, and write the table."""
    rows = []
    for family in peers.OPTIONS:
        with tempfile.TemporaryDirectory() as scratch:
            rows += race(family, Path(scratch))
    table.parent.mkdir(parents=True, exist_ok=True)
    with complete(table) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE)
