"""FedAdagrad: FedAvg whose server adds up the squares of its steps (Reddi et al. 2021)."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg
from flexifed.training.adaptive import Adagrad
from flexifed.training.rules import Rule

ONE_VERSION = True
ALLOWED = {"learning_rate": (0, None), "beta1": (0, 0.9999), "tau": (1e-12, None), "start": (0, None)}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def server(*, learning_rate: float = 0.01, beta1: float = 0.0, tau: float = 0.001, start: float = 0.000001) -> Rule:
    """The paper's values, of which it tunes learning_rate and tau; v begins at `start`, which is tau squared."""
    return Adagrad(learning_rate, beta1, tau, start)
