"""How much arithmetic a model takes, and how much of it the machine does in a large matrix product."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from flexifed import models
from flexifed.bench.workload import CLASSES, SHAPES, Workload
from flexifed.models import set_generator
from flexifed.settings import rng

EDGE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices, where the machine computes a product of them within `PATIENCE`."""
FIRST_EDGE = 256
PATIENCE = 1.0
"""Seconds. In bfloat16, a processor without instructions for it takes minutes for the largest product."""
PRODUCTS = {"cpu": 3, "cuda": 20}
"""In a measured run, of which there are five."""


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of convolutions and matrix products for one sample; a multiply-add is two."""

    training: float
    """Forward and backward."""
    test: float
    """Forward."""


def of_model(workload: Workload, version: str) -> Flops:
    """Counted by torch on a model without values; gradients that training does not need are not counted."""
    kind, batch = workload.kind, 2
    model = models.build_meta(
        workload.family, version, SHAPES[kind], CLASSES[kind], workload.job("serial", "float32").family_options
    ).to("meta")
    set_generator(model, torch.Generator())
    dtype = torch.float32 if kind == "image" else torch.int64
    inputs = torch.zeros((batch, *SHAPES[kind]), dtype=dtype, device="meta")
    with FlopCounterMode(display=False) as training:
        model(inputs).sum().backward()
    with torch.no_grad(), FlopCounterMode(display=False) as test:
        model.eval()(inputs)
    return Flops(training.get_total_flops() / batch, test.get_total_flops() / batch)


def of_round(workload: Workload, n_test: int) -> float:
    """Floating-point operations of a round: its training, and one evaluation of every client's test samples."""
    versions = workload.protocol.client_versions()
    flops = {version: of_model(workload, version) for version in dict.fromkeys(versions)}
    training, test = workload.samples / len(versions), n_test // int(workload.protocol.partition.options["parts"])
    return sum(training * flops[version].training + test * flops[version].test for version in versions)


def matrix_product_rate(device: torch.device, precision: str) -> float:
    """Floating-point operations a second in products of square matrices, as large as the machine can be asked for.

    Args:
        device: where.
        precision: bfloat16 is the dtype of the factors; float32 and tf32 are float32 with the process's settings (see
            `flexifed.training.precision`).
    """
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    edge, products = FIRST_EDGE, PRODUCTS[device.type]
    while edge < EDGE[device.type] and 8 * _products(device, dtype, edge, 1) < PATIENCE:
        edge *= 2
    return products * 2 * edge**3 / _products(device, dtype, edge, products)


def _products(device: torch.device, dtype: torch.dtype, edge: int, count: int) -> float:
    """Seconds of so many products of square matrices, median of five runs after one warm-up."""
    generator = rng.torch_stream(0, "bench", "product", device=device)
    a, b = (torch.randn((edge, edge), device=device, generator=generator).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        for _ in range(count):
            torch.mm(a, b, out=out)
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
