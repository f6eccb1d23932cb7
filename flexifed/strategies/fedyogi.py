"""FedYogi: FedAdam whose mean of squares moves by no more than the newest square (Reddi et al. 2021).

Implementations differ, and each can be had: Flower begins with v = 0 (`start: 0`) and steps by 0.01 with tau = 0.001;
TensorFlow Federated begins with 1e-6, and corrects biases (`bias_corrected: true`); FedScale has `start` and `tau` of
1e-8, steps by 0.003, and steps running statistics of normalisations as well (`buffers: stepped`).
"""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg
from flexifed.training.adaptive import Yogi, YogiOnBuffers
from flexifed.training.rules import Rule

ONE_VERSION = True
ALLOWED = {
    "learning_rate": (0, None),
    "beta1": (0, 0.9999),
    "beta2": (0, 0.999999),
    "tau": (1e-12, None),
    "start": (0, None),
    "buffers": ("averaged", "stepped"),
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
    buffers: str = "averaged",
) -> Rule:
    """The paper's values, of which it tunes learning_rate and tau; v begins at `start`, which is tau squared."""
    rule = YogiOnBuffers if buffers == "stepped" else Yogi
    return rule(learning_rate, beta1, tau, start, beta2, bias_corrected)
