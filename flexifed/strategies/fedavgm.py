"""FedAvgM: FedAvg whose server keeps a momentum (Hsu, Qi and Brown 2019, section 3.2)."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg
from flexifed.training.rules import Momentum, Rule

ONE_VERSION = True
ALLOWED = {"momentum": (0, 0.9999), "learning_rate": (0, None)}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def server(*, momentum: float = 0.9, learning_rate: float = 1.0) -> Rule:
    """v = momentum * v + (w - mean), then w - learning_rate * v; statistics of normalisations are averaged plainly."""
    return Momentum(momentum, learning_rate)
