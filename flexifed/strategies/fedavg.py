"""FedAvg: one model for everybody (McMahan et al., AISTATS 2017, Algorithm 1).

The mean is over the participants of a round, plain or weighted by their samples as the protocol's `averaging` says. The
algorithm box weights by n_k / n; shaoxiongji/federated-learning and most scripts do not, which is the same where all
clients hold as many samples.
"""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node

ONE_VERSION = True
"""All clients must hold the same version."""


def groups(tree: Node) -> Iterator[Group]:
    """Every layer is averaged among all clients."""
    for node in tree.walk():
        yield Group(node.depth, node.clients)
