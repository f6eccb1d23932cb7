"""FedAvg whose users' table stays with its users: a client sends all but the row that is about itself.

What the FedScale guide names as its own future work; a cousin of FlexiFed's personal layers. For families of click
data, whose first layer is the users' table. A client that has never taken part has the row that the seed gave it.
"""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node

ONE_VERSION = True
TEST_SET = "shard"
"""A client can be tested on its own samples only: nobody else's rows are with it."""


def groups(tree: Node) -> Iterator[Group]:
    """Every layer but the first is averaged among all clients."""
    for node in tree.walk():
        if node.depth > 1:
            yield Group(node.depth, node.clients)
