"""q-FedAvg: FedAvg for a fairer spread of accuracies, in which participants with a higher loss count for more.

From Li et al. 2020, "Fair Resource Allocation in Federated Learning" (q-FFL), Algorithm 2. The server's L is one by the
clients' learning rate. q = 0 is FedAvg with uniform weights, to the bit. Where a turn is one step on all of a client's
samples (`batch_size: all`, `local_epochs: 1`, `slices: 1`, no momentum), this is the paper's q-FedSGD.

F_k is the loss of the model that participant k downloads, on all of its training samples (the paper). FedScale takes a
moving mean of the losses of the turn's steps instead, which `loss: training` stands for: the plain mean of them.
"""

from collections.abc import Iterator

from flexifed.settings.protocol import Optimiser
from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg
from flexifed.training.fairness import QFair
from flexifed.training.rules import Rule

ONE_VERSION = True
ALLOWED = {"q": (0, None), "loss": ("at_download", "training")}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def server(local: Optimiser, *, q: float = 1.0, loss: str = "at_download") -> Rule:
    """Steps by losses to the power of q."""
    return QFair(q, 1 / local.learning_rate, "training" if loss == "training" else "at_download")
