"""FedProx: FedAvg whose participants stay near the model they were given (Li et al., MLSys 2020, Algorithm 2)."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg
from flexifed.training.objectives import Objective, Proximal

ONE_VERSION = True
ALLOWED = {"mu": (0, None)}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def objective(*, mu: float = 0.01) -> Objective:
    """The loss plus mu / 2 times the squared distance from the downloaded weights; 0 is FedAvg."""
    return Proximal(mu)
