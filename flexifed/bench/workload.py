"""What a candidate is given: a family's federation on random samples, partitioned and planned by the real code.

The time of a step does not depend on the values of samples or labels, so no data set is needed.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flexifed.data import samples
from flexifed.data.partition import partition
from flexifed.settings import registry, rng
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Partition, Protocol
from flexifed.sharing import plan, planning
from flexifed.training.client import step_size

DATASETS = {"image": "cifar10", "text": "agnews"}
"""The data set whose shape, classes and transform stand for a kind."""
SHAPES = {"image": (3, 32, 32), "text": (1024,)}
CLASSES = {"image": 10, "text": 4}
TRAINING, TESTING = "train", "test"


def write_samples(folder: Path, n_train: int, n_test: int) -> None:
    """Write one prepared data set of random bytes for each kind: `{folder}/image` and `{folder}/text`."""
    for kind, dataset in DATASETS.items():
        data = samples.Prepared(
            train=_split(kind, TRAINING, n_train),
            test=_split(kind, TESTING, n_test),
            classes=tuple(str(label) for label in range(CLASSES[kind])),
        )
        source = {"verified": False, "how": "random bytes, made for the benchmark", "files": []}
        samples.write(folder / kind, data, dataset=dataset, kind=kind, source=source, options={})


def _split(kind: str, name: str, n: int) -> samples.Split:
    generator = rng.stream(0, "bench", kind, name)
    low, high, dtype = (
        (0, 256, np.uint8) if kind == "image" else (32, 127, np.int16)
    )  # any pixel, any printed character
    inputs = generator.integers(low, high, (n, *SHAPES[kind]), dtype=dtype)
    return samples.Split(inputs, generator.integers(0, CLASSES[kind], n), None)


@dataclass(frozen=True)
class Workload:
    """A federation to be run; all of its files are below `folder`, where `write_samples` has been before."""

    folder: Path
    family: str
    width: float
    protocol: Protocol
    n_train: int

    @property
    def kind(self) -> str:
        """ "image" or "text"."""
        kind: str = registry.constant("family", self.family, "KIND")
        return kind

    @property
    def samples_per_client(self) -> int:
        """Training samples of a client; some hold one more where the parts are not equal."""
        return self.n_train // int(self.protocol.partition.options["parts"])

    @property
    def samples(self) -> int:
        """Samples trained on in a round, repetitions in local epochs included."""
        protocol = self.protocol
        return protocol.clients * protocol.local_epochs * (self.samples_per_client // protocol.slices)

    @property
    def steps(self) -> int:
        """SGD steps of a round, over all clients."""
        protocol = self.protocol
        n = self.samples_per_client // protocol.slices
        per_epoch = math.ceil(n / step_size(protocol, n))
        return protocol.clients * protocol.local_epochs * per_epoch

    def job(self, engine: str, precision: str) -> Job:
        """The job of a candidate."""
        settings = {
            "protocol": asdict(self.protocol),
            "family_options": {"width": self.width},
            "engine": engine,
            "precision": precision,
        }
        return Job.from_settings(Cell(DATASETS[self.kind], self.family, "max_common", "bench", 0), settings)

    def files(self) -> dict[str, Path]:
        """Paths as `federation.assemble` takes them; `write` makes them."""
        protocol = self.protocol
        partitioned = f"{self.kind}.{protocol.clients}of{protocol.partition.options['parts']}"
        planned = f"{self.family}.{self.width}.{''.join(protocol.versions)}.{protocol.clients}"
        return {
            "prepared": self.folder / self.kind,
            "partition_file": self.folder / f"{partitioned}.parquet",
            "plan_file": self.folder / f"{planned}.json",
        }

    def write(self) -> None:
        """Write partition and plan."""
        paths, protocol = self.files(), self.protocol
        partition(
            paths["prepared"],
            protocol.partition,
            clients=protocol.clients,
            test_set=protocol.test_set,
            seed=0,
            out=paths["partition_file"],
        )
        made = planning.for_family(
            self.family, "max_common", versions=protocol.client_versions(), options={"width": self.width}
        )
        plan.write(made, paths["plan_file"])

    def varied(self, *, parts: int | None = None, **overrides: Any) -> "Workload":
        """The same workload with values of its protocol replaced."""
        if parts is not None:
            overrides["partition"] = Partition(options={"parts": parts})
        return replace(self, protocol=replace(self.protocol, **overrides))
