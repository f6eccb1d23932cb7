"""Max-Common of FlexiFed: every layer with everyone who has it in common."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node


def groups(tree: Node) -> Iterator[Group]:
    """Every layer is averaged among all clients that share it and every layer before it.

    Groups shrink with depth: a client leaves at its first personal layer.
    """
    for node in tree.walk():
        yield Group(node.depth, node.clients)
