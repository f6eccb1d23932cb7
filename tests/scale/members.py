"""What a turn with a smaller member takes: `python -m tests.scale.members` writes docs/members.csv.

Clients of five budgets, one each, with random images of CIFAR-10's shape, Conv-8 at half of its width as the largest
version. A turn is download, ten steps of 64 samples, and upload; tests are left out. The tiers take turns, so that what
else the machine does meets all of them.
"""

import statistics
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from flexifed.data import partition, samples
from flexifed.settings import registry, rng
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Budgets, Partition, Protocol
from flexifed.sharing import plan
from flexifed.study import single
from flexifed.system.files import complete
from flexifed.training import federation

TIERS = ("B1", "B2", "B3", "B4", "B5")
LEVELS = (0.24, 0.38, 0.52, 0.8, 1.0)
STEPS, BATCH = 10, 64
ROUNDS = 5  # after one that warms up
STRATEGIES = {"elf": {}, "heterofl": {}, "fedrolex": {}, "masked": {"cuts": "depth_and_sparsity", "fill": "owners"}}
TABLE = registry.PACKAGE.parent / "docs/members.csv"


def job(strategy: str) -> Job:
    """Five clients with budgets of multiply-adds."""
    protocol = Protocol(
        clients=len(TIERS),
        versions=TIERS,
        budgets=Budgets(levels=LEVELS),
        partition=Partition(options={}),
        slices=1,
        rounds=ROUNDS + 1,
        local_steps=STEPS,
        batch_size=BATCH,
        tests=(),
    )
    file = "elf" if strategy == "masked" else strategy
    cell = Cell("cifar10", "conv", strategy, "scale", 0)
    return Job(cell, protocol, {"width": 0.5}, "fast", strategy=file, strategy_options=STRATEGIES[strategy])


def write_files(folder: Path, the_job: Job) -> dict[str, Path]:
    """Prepared data, partition, plan and, where single values are cut, masks."""
    generator = rng.stream(0, "scale", "members")

    def split(n: int) -> samples.Split:
        images = generator.integers(0, 256, (n, 3, 32, 32), dtype="uint8")
        return samples.Split(images, generator.integers(0, 10, n), None)

    data = samples.Prepared(split(len(TIERS) * STEPS * BATCH), split(100), tuple("abcdefghij"))
    source = {"verified": False, "how": "random", "files": []}
    samples.write(folder / "data", data, dataset="cifar10", kind="image", source=source, options={})
    files = {"prepared": folder / "data", "partition_file": folder / "partition.parquet", "plan_file": folder / "plan"}
    partition.partition(
        files["prepared"],
        the_job.protocol.partition,
        clients=len(TIERS),
        test_set="shard",
        seed=0,
        out=files["partition_file"],
    )
    table = single.table_of(the_job, samples.read_card(files["prepared"]))
    plan.write(single.elastic_plan(the_job, table), files["plan_file"])
    if the_job.cell.strategy == "masked":
        files["masks_file"] = folder / "masks.safetensors"
        single.make_masks(the_job, files["prepared"], files["masks_file"])
    return files


def measure(strategy: str, folder: Path) -> list[dict[str, object]]:
    """A row for each tier: its member, seconds of a turn, and both beside the largest version's; medians."""
    the_job = job(strategy)
    f = federation.assemble(the_job, **write_files(folder, the_job), device=torch.device("cpu"))
    engine = registry.load("engine", the_job.engine).create(f)
    seconds: dict[str, list[float]] = {tier: [] for tier in TIERS}
    for number in range(1, ROUNDS + 2):
        for client in f.clients:
            began = time.perf_counter()
            turns = f.server.download([client])
            engine.train(number, turns)
            f.server.upload(turns)
            seconds[client.version].append(time.perf_counter() - began)
        f.server.step()
    return [
        {
            "strategy": strategy,
            "tier": tier,
            "version": (member := f.plan.members[tier]).version,
            "width": member.width,
            "sparsity": round(member.sparsity, 3),
            "multiply_adds": round(member.work, 3),
            "turn_seconds": round(statistics.median(some[1:]), 3),
            "of_largest": round(
                statistics.median(a / b for a, b in zip(some[1:], seconds[TIERS[-1]][1:], strict=True)), 3
            ),
        }
        for tier, some in seconds.items()
    ]


def main() -> None:
    """Measure all strategies, and write the table."""
    rows = []
    for strategy in STRATEGIES:
        with tempfile.TemporaryDirectory() as scratch:
            rows += measure(strategy, Path(scratch))
    with complete(TABLE) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
