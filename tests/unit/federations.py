"""Small real federations for tests: learnable data from a seed, prepared, partitioned and planned by the real code."""

import dataclasses
import hashlib
import os
import signal
import tempfile
from collections.abc import Mapping
from copy import copy as shallow_copy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from flexifed.data import samples
from flexifed.data.partition import partition
from flexifed.data.transforms import Transform
from flexifed.elastic import budgets
from flexifed.models import build, resnet18_pretrained, set_generator
from flexifed.settings import protocol, registry, rng
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Protocol
from flexifed.sharing import plan
from flexifed.study import single
from flexifed.system.files import digest as digest_of
from flexifed.system.interruption import Interrupted
from flexifed.training import federation, rounds, weights
from flexifed.training.client import Client, Turn, batches
from flexifed.training.engine import Engine, Federation
from flexifed.training.history import History
from flexifed.training.run import Inputs, run_cell
from flexifed.training.server import Server
from flexifed.training.submodels import Submodels

DATASETS = {"image": "digits", "text": "agnews", "vector": "synthetic", "click": "movielens"}
"""A data set of each kind that families read."""
WIDTH = 0.0625
FOLDER = tempfile.TemporaryDirectory()
"""Of files that do not belong to a single test; goes with the process."""
DENSE, TABLES = 2, (7, 40, 3)
"""Of clicks: dense features, and rows of the table of each sparse one."""

PROTOCOL = Protocol(
    clients=4,
    partition=protocol.Partition(partitioner="iid", options={}),
    slices=2,
    rounds=2,
    local_epochs=2,
    batch_size=8,
)


def split(kind: str, n: int, seed: int) -> samples.Split:
    """Four classes: images bright in one quarter, texts that repeat one letter, vectors; with noise. And clicks."""
    generator = rng.stream(seed, "test-data")
    labels = np.arange(n, dtype=np.int64) % 4
    if kind == "click":
        return clicks(n, generator)
    if kind == "vector":
        inputs = (generator.normal(size=(n, 60)) + 3 * np.eye(4, 60)[labels]).astype(np.float32)
    elif kind == "image":
        inputs = generator.integers(0, 120, (n, 1, 32, 32), dtype=np.uint8)
        for i, label in enumerate(labels):
            inputs[i, 0, 16 * (label // 2) :, 16 * (label % 2) :][:16, :16] += 120
    else:
        inputs = generator.integers(97, 123, (n, 1024), dtype=np.int16)
        inputs[:, ::2] = 97 + labels[:, None]
    return samples.Split(inputs, labels, None)


def clicks(n: int, generator: np.random.Generator) -> samples.Split:
    """Users who click on some items and not on others, with a dense feature that says a little, too."""
    sparse = np.stack([generator.integers(0, rows, n) for rows in TABLES], axis=1)
    labels = ((sparse[:, 0] + sparse[:, 1]) % 3 == 0).astype(np.int64)
    found = np.empty(n, [("dense", "<f4", (DENSE,)), ("sparse", "<i4", (len(TABLES),))])
    found["dense"] = generator.normal(size=(n, DENSE)) + labels[:, None]
    found["sparse"] = sparse
    return samples.Split(found, labels, sparse[:, 0].astype(np.int32))


def prepared(folder: Path, kind: str = "image", n_train: int = 64, n_test: int = 32) -> Path:
    """A prepared data set of four classes, or of clicks."""
    classes = ("no", "yes") if kind == "click" else ("a", "b", "c", "d")
    shape = (DENSE, *TABLES) if kind == "click" else None
    data = samples.Prepared(split(kind, n_train, 0), split(kind, n_test, 1), classes, shape=shape)
    source = {"verified": True, "how": "made for a test", "files": []}
    samples.write(folder, data, dataset="digits", kind=kind, source=source, options={})
    return folder


def job(strategy: str = "max_common", *, family: str = "vgg", seed: int = 0, **overrides: Any) -> Job:
    """A job on the small protocol with some of its values replaced."""
    cell = Cell(DATASETS[registry.constant("family", family, "KIND")], family, strategy, "small", seed)
    versions = registry.constant("family", family, "VERSIONS")
    if len(versions) != len(PROTOCOL.versions) and "versions" not in overrides:
        overrides = {"versions": versions, "clients": len(versions) * (PROTOCOL.clients // len(versions)), **overrides}
    return Job(cell, dataclasses.replace(PROTOCOL, **overrides), family_options(family), "serial")


def family_options(family: str, width: float = WIDTH, channels: int = 1) -> dict[str, Any]:
    """Options of a narrow model, as far as the family has any; one that begins with a file is given a narrow one."""
    options: dict[str, Any] = {"width": width} if "width" in registry.keywords("family", family) else {}
    return options | (weight_file(width, channels) if registry.constant("family", family, "WEIGHTS", "") else {})


@cache
def weight_file(width: float, channels: int) -> dict[str, str]:
    """Random weights of a ResNet-18 as torchvision would write them: the file, and its digest."""
    model = build("resnet18", "V1", (channels, 32, 32), 1000, {"width": width}, rng.torch_stream(0, "weights"))
    path = Path(FOLDER.name) / f"{width}.{channels}.pth"
    torch.save({resnet18_pretrained.as_torchvision(key): value for key, value in model.state_dict().items()}, path)
    return {"file": str(path), "sha256": digest_of(path)}


def files(folder: Path, the_job: Job) -> dict[str, Path]:
    """Prepared data, partition and plan of a job, as `run_cell` and `assemble` take them."""
    kind = registry.constant("family", the_job.cell.family, "KIND")
    settings, cell = the_job.protocol, the_job.cell
    paths = {
        "prepared": folder / kind,
        "partition_file": folder / f"seed{cell.seed}.{settings.clients}.parquet",
        "plan_file": folder / f"{cell.family}.{cell.strategy}.{settings.classifier}.{settings.common_layers}.json",
    }
    if not paths["prepared"].exists():
        prepared(paths["prepared"], kind)
    partition(
        paths["prepared"],
        settings.partition,
        clients=settings.clients,
        test_set=settings.test_set,
        seed=cell.seed,
        out=paths["partition_file"],
    )
    if settings.budgets:
        paths |= elastic(folder, the_job, paths)
    else:
        single.make_plan(the_job, paths["plan_file"])
    if settings.devices:
        paths["devices_file"] = folder / f"devices.seed{cell.seed}.parquet"
        wanted = settings.cohort_size()
        out = paths["devices_file"]
        single.make_devices(settings.devices, clients=settings.clients, wanted=wanted, seed=cell.seed, out=out)
    return paths


def elastic(folder: Path, the_job: Job, paths: Mapping[str, Path]) -> dict[str, Path]:
    """The plan of a job with budgets and, where its strategy cuts single values, masks."""
    table = single.table_of(the_job, samples.read_card(paths["prepared"]))
    plan.write(single.elastic_plan(the_job, table), paths["plan_file"])
    if not budgets.needs_masks([(the_job.strategy_file, the_job.strategy_options)]):
        return {}
    out = folder / f"masks.seed{the_job.cell.seed}.safetensors"
    if not out.exists():
        single.make_masks(the_job, paths["prepared"], out)
    return {"masks_file": out}


def assemble(folder: Path, the_job: Job) -> Federation:
    """The federation of a job, on the CPU."""
    paths = files(folder, the_job)
    return federation.assemble(the_job, **paths, device=torch.device("cpu"))


def run(folder: Path, the_job: Job, name: str = "cell", **settings: Any) -> Path:
    """Run a job's cell on the CPU; returns the folder with its history and record."""
    out = folder / name
    inputs = Inputs(**files(folder, the_job))
    run_cell(the_job, inputs, out, lambda *_: None, device=torch.device("cpu"), **settings)
    return out


def stopped(folder: Path, the_job: Job, after: int) -> None:
    """Run a job's cell until a signal stops it after a round; what is left is a checkpoint in `cell`."""

    def progress(round_number: int, *_: object) -> None:
        if round_number == after:
            os.kill(os.getpid(), signal.SIGTERM)

    inputs = Inputs(**files(folder, the_job))
    with pytest.raises(Interrupted):
        run_cell(the_job, inputs, folder / "cell", progress, device=torch.device("cpu"), checkpoint_minutes=0)


def sgd(
    assembled: Federation, client: Client, model: nn.Module, velocity: dict[str, Tensor], round_number: int
) -> None:
    """A client's local training in one round, with the update rule written out instead of an optimiser."""
    set_generator(model, rng.torch_stream(0, "dropout", client.id, round_number))
    for batch in batches(client, assembled.transform, assembled.protocol, 0, round_number):
        inputs = assembled.transform.train(assembled.train.inputs[batch.indices], batch.draws)
        loss = assembled.task.loss(model(inputs), assembled.train.labels[batch.indices])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for (name, parameter), gradient in zip(model.named_parameters(), gradients, strict=True):
                velocity[name] = 0.9 * velocity[name] + gradient + 5e-4 * parameter
                parameter -= 0.01 * velocity[name]


def at_rest(model: nn.Module) -> dict[str, Tensor]:
    """The velocity of every parameter before the first step."""
    return {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}


def loop(assembled: Federation, engine: Engine) -> History:
    """All rounds of an assembled federation."""
    history = History()
    rounds.loop(assembled, engine, lambda *_: None, history)
    return history


@dataclasses.dataclass(frozen=True)
class InDouble:
    """A transform whose output is float64, as far as it is not whole numbers."""

    transform: Transform

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        return self.transform.draw(rng, n)

    def train(self, x: Tensor, draws: Mapping[str, Tensor]) -> Tensor:
        return as_double(self.transform.train(x, draws))

    def test(self, x: Tensor) -> Tensor:
        return as_double(self.transform.test(x))


def as_double(x: Any) -> Any:
    if isinstance(x, dict):
        return {name: as_double(array) for name, array in x.items()}
    return x.double() if x.is_floating_point() else x


def in_double(assembled: Federation) -> Federation:
    """The same federation, computing in float64."""

    def initial(client: Client) -> weights.Weights:
        numbers = single.initial(client)
        return dataclasses.replace(numbers, values=numbers.values.double())

    single, protocol = assembled.server, assembled.protocol
    double = Server(
        assembled.clients,
        single.parts,
        single.rule,
        initial,
        assembled.device,
        averaging=protocol.averaging,
        keeps_momentum=protocol.optimiser.state == "kept",
        dtype=torch.float64,
        wholes={v: dataclasses.replace(n, values=n.values.double()) for v, n in single.wholes.items()},
        submodels=single.submodels and _in_double(single.submodels),
    )
    models = {version: model.double() for version, model in assembled.models.items()}
    return dataclasses.replace(assembled, server=double, models=models, transform=InDouble(assembled.transform))


def _in_double(single: Submodels) -> Submodels:
    found = shallow_copy(single)
    found.initial = dataclasses.replace(single.initial, values=single.initial.values.double())
    return found


def numbers(assembled: Federation) -> list[weights.Weights]:
    """A copy of every client's model as it is."""
    copies = weights.allocate([c.layout for c in assembled.clients], torch.device("cpu"), assembled.server.dtype)
    for client, copy in zip(assembled.clients, copies, strict=True):
        assembled.server.copy_model(client, copy)
    return copies


def digest(assembled: Federation) -> str:
    """SHA-256 over every client's model as it is."""
    total = hashlib.sha256()
    for copy in numbers(assembled):
        for tensor in copy.state().values():
            total.update(tensor.numpy().tobytes())
    return total.hexdigest()


def trained(assembled: Federation, engine: Engine, round_number: int = 1) -> list[Turn]:
    """Every client's turn, trained and not uploaded."""
    turns = assembled.server.download(assembled.clients)
    engine.train(round_number, turns)
    return turns


def history(cell: Path) -> pd.DataFrame:
    """A cell's history."""
    return pd.read_parquet(cell / "history.parquet")
