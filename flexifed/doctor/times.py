"""How long studies take here: a small cell trained to its end, and some steps of a large model, both measured now."""

import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from flexifed import models
from flexifed.doctor.finding import Finding
from flexifed.study import config
from flexifed.system import files, machine, provenance
from flexifed.training.client import step_size

QUICK, TABLE1 = provenance.ROOT / "config/quick.yaml", provenance.ROOT / "config/config.yaml"
FAMILY, VERSION, SHAPE, CLASSES = "vgg", "V3", (3, 32, 32), 10
N_TRAIN = 50_000
"""Training images of CIFAR-10."""
STEPS = 3


def findings() -> list[Finding]:
    """Times of `make quick`, and of one cell of `make table1`."""
    if not QUICK.exists():
        return [Finding("studies", "no checkout of the repository, so there is no study to measure")]
    return [_quick(), _table1()]


def _quick() -> Finding:
    study = config.read(QUICK)
    cells, cell = study.cells(), study.cells()[-1]
    names = [cell.dataset, cell.family, cell.strategy, cell.protocol, str(cell.seed)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        command = [sys.executable, "-m", "flexifed", "cell", "--config", str(QUICK), *names, "--device", "cpu"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        whole = time.monotonic() - began
        training = files.read_object(Path(folder) / done.stdout.strip() / "run.json")["seconds"]
    starting = whole - training  # what a short job takes: plans, tables, figures, about as many as there are cells
    minutes = len(cells) * (whole + starting) / machine.cores() / 60
    text = f"about {math.ceil(minutes)} min: {len(cells)} cells of {whole:.0f} s, and about as many short jobs"
    return Finding("make quick", f"{text}, on {machine.cores()} cores")


def _table1() -> Finding:
    """One cell of CIFAR-10 with VGG: its steps alone, without tests and averaging."""
    study = config.read(TABLE1)
    cell = next(c for c in study.cells() if (c.dataset, c.family) == ("cifar10", FAMILY))
    protocol = study.protocol(cell.protocol, cell.dataset)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n = N_TRAIN // int(protocol.partition.options["parts"]) // protocol.slices
    batch = step_size(protocol, n)
    seconds = step_seconds(device, batch)
    steps = protocol.rounds * protocol.clients * protocol.local_epochs * math.ceil(n / batch)
    hours = steps * seconds / 3600
    text = f"{hours:,.1f} h for the steps of one of its {len(study.cells())} cells, CIFAR-10 with VGG"
    text += f" ({1000 * seconds:,.0f} ms a step of {batch} plain PyTorch, VGG-16 on {device.type})"
    slow = "make table1 wants a GPU or a cluster; `make study NAME=figure4 OVERLAY=small` is a small study like it."
    return Finding("make table1", text, "" if device.type == "cuda" else slow)


def step_seconds(device: torch.device, batch: int) -> float:
    """Median seconds of a step of plain SGD on random images, the first one left out."""
    generator = torch.Generator().manual_seed(0)
    model = models.build(FAMILY, VERSION, SHAPE, CLASSES, {}, generator).to(device)
    models.set_generator(model, torch.Generator(device).manual_seed(0))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = torch.rand(batch, *SHAPE, device=device, generator=torch.Generator(device).manual_seed(1))
    labels = torch.zeros(batch, dtype=torch.int64, device=device)
    taken = []
    for _ in range(1 + STEPS):
        began = time.monotonic()
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.monotonic() - began)
    return statistics.median(taken[1:])
