"""FedAdam: FedAvg whose server keeps moving means of its steps and of their squares (Reddi et al. 2021)."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg
from flexifed.training.adaptive import Adam
from flexifed.training.rules import Rule

ONE_VERSION = True
ALLOWED = {
    "learning_rate": (0, None),
    "beta1": (0, 0.9999),
    "beta2": (0, 0.999999),
    "tau": (1e-12, None),
    "start": (0, None),
}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def server(
    *,
    learning_rate: float = 0.01,
    beta1: float = 0.9,
    beta2: float = 0.99,
    tau: float = 0.001,
    start: float = 0.000001,
    bias_corrected: bool = False,
) -> Rule:
    """The paper's values, of which it tunes learning_rate and tau; v begins at `start`, which is tau squared."""
    return Adam(learning_rate, beta1, tau, start, beta2, bias_corrected)
