"""How much is measured: all of protocol `official` on a GPU, a cut-down round on a CPU, next to nothing to try it."""

from dataclasses import dataclass, replace

from flexifed.settings.protocol import Partition, Protocol

WARM_UPS = 1
"""Rounds that are run and not counted."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """When to stop measuring: after `repetitions`, or after the first one that ends later than `seconds`."""

    repetitions: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Size:
    """One size of the whole benchmark."""

    name: str
    """What a round is, in words."""
    families: tuple[str, ...] = ("vgg", "resnet", "charcnn", "vdcnn")
    n_train: int
    """Training samples of the random data set, image or text."""
    width: float
    """Width of the models of `rounds` and `cells`."""
    protocol: Protocol
    """Clients, partition, slices and epochs of `rounds` and `cells`."""
    rounds: Limit
    """For each family."""
    cells: Limit
    """For each family."""
    aggregation_clients: tuple[int, ...]
    aggregation_widths: tuple[float, ...]
    """The first one whose models fit into memory is taken."""
    aggregation: Limit
    """For each number of clients."""
    clustering_clients: tuple[int, ...]
    clustering_pairwise: int
    """Most clients that are compared in pairs, which takes seconds."""
    clustering: Limit
    """For each number of clients."""
    scaling_width: float
    scaling_clients: tuple[int, ...]
    scaling_parts: tuple[int, ...]
    """Into how many parts the training samples are cut; a client holds one."""
    scaling: Limit
    """For each curve."""
    seeds: tuple[int, ...]
    """Of the studies that are planned by a dry run; each seed is 40 cells."""
    dryrun: Limit
    """For each study."""

    @property
    def n_test(self) -> int:
        """Test samples: a fifth of the training samples, as in CIFAR-10."""
        return self.n_train // 5


GPU = Size(
    name="protocol official: 8 clients of 2,500 samples, slices of 250, 10 local epochs",
    n_train=50_000,
    width=1.0,
    protocol=Protocol(),
    rounds=Limit(repetitions=5, seconds=45),
    cells=Limit(repetitions=0, seconds=0),
    aggregation_clients=(8, 40, 200),
    aggregation_widths=(1.0, 0.5, 0.25, 0.125),
    aggregation=Limit(repetitions=5, seconds=15),
    clustering_clients=(8, 40, 200, 1000, 5000),
    clustering_pairwise=1000,
    clustering=Limit(repetitions=5, seconds=10),
    scaling_width=1.0,
    scaling_clients=(4, 8, 16, 32),
    scaling_parts=(80, 40, 20, 10),
    scaling=Limit(repetitions=3, seconds=15),
    seeds=(3, 50),
    dryrun=Limit(repetitions=3, seconds=15),
)

CPU = replace(
    GPU,
    name="cut down: 4 clients, one of each version, 125 samples each, 1 local epoch",
    n_train=4_000,
    protocol=Protocol(clients=4, partition=Partition(options={"parts": 32}), slices=1, local_epochs=1),
    rounds=Limit(repetitions=3, seconds=90),
    cells=Limit(repetitions=3, seconds=35),
    aggregation=Limit(repetitions=5, seconds=40),
    scaling_width=0.25,
    scaling_parts=(32, 16, 8, 4),
    scaling=Limit(repetitions=3, seconds=20),
)

ONCE = Limit(repetitions=1, seconds=0)

QUICK = Size(
    name="to try it: 4 clients, one of each version, 10 samples each, 1 local epoch",
    families=("vgg", "charcnn"),
    n_train=80,
    width=0.0625,
    protocol=replace(CPU.protocol, partition=Partition(options={"parts": 8}), batch_size=4),
    rounds=ONCE,
    cells=ONCE,
    aggregation_clients=(8,),
    aggregation_widths=(0.0625,),
    aggregation=ONCE,
    clustering_clients=(8, 16),
    clustering_pairwise=8,
    clustering=ONCE,
    scaling_width=0.0625,
    scaling_clients=(4, 8),
    scaling_parts=(8, 4),
    scaling=ONCE,
    seeds=(1,),
    dryrun=ONCE,
)


def of(device: str, *, quick: bool) -> Size:
    """The size for a device ("cpu", "cuda", "cuda:1" ...)."""
    if quick:
        return QUICK
    return CPU if device == "cpu" else GPU
