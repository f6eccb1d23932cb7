"""One step of SGD with every engine, family, width and precision: `python -m tests.unit.one_step FOLDER`.

In a process of its own, because a kernel that writes beyond its memory may end it at any moment. What is under way is
printed before it begins; the line is completed by how far the step was off.
"""

import copy
import dataclasses
import sys
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from flexifed.settings import registry
from flexifed.settings.protocol import Optimiser
from flexifed.training.engine import Federation
from tests.unit import federations

WIDTHS = {"1/16": 1 / 16, "1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2}
SAMPLES = {"image": 8, "text": 2}  # of a thousand characters each
STEP = {
    "clients": 2,  # which the engine `stacked` trains in one
    "slices": 1,
    "local_epochs": 1,
    "batch_size": max(SAMPLES.values()),
    "optimiser": Optimiser(learning_rate=1.0, momentum=0.0, weight_decay=0.0),  # moves weights by minus the gradient
}
ENGINES = [
    (engine, precision)
    for engine in registry.names("engine")
    for precision in registry.constant("engine", engine, "PRECISIONS")
    if precision != "tf32"  # which is float32 on a CPU
]


def in_double(assembled: Federation) -> Federation:
    """A copy that computes in float64."""
    return federations.in_double(dataclasses.replace(assembled, models=copy.deepcopy(assembled.models)))


def moved(assembled: Federation, engine: str) -> Tensor:
    """By what a step moves every client's weights and statistics, float64."""
    before = federations.numbers(assembled)
    turns = federations.trained(assembled, registry.load("engine", engine).create(assembled))
    return torch.cat([t.weights.values - b.values for t, b in zip(turns, before, strict=True)]).double()


def steps(folder: Path) -> None:
    """Take every step. A line for each: engine, precision, family, width, error relative to float64."""
    for kind, n in SAMPLES.items():
        federations.prepared(folder / kind, kind, n_train=n * 2, n_test=n * 2)
    for family, (name, width) in product(registry.names("family"), WIDTHS.items()):
        version = registry.constant("family", family, "VERSIONS")[:2][-1]  # has every shape of layer of its family
        job = federations.job(family=family, versions=(version,), **STEP)
        job = dataclasses.replace(job, family_options=federations.family_options(family, width))
        assembled = federations.assemble(folder, job)
        exact = moved(in_double(assembled), "serial")
        for engine, precision in ENGINES:
            print(engine, precision, family, name, end=" ", flush=True)
            taken = moved(dataclasses.replace(assembled, precision=precision), engine)
            print(f"{float((taken - exact).norm() / exact.norm()):.1e}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    steps(Path(sys.argv[1]))
