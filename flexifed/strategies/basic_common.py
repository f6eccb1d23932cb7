"""Basic-Common of FlexiFed: the layers that all clients have in common."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node


def groups(tree: Node) -> Iterator[Group]:
    """A layer is averaged among all clients if all of them agree on it and on every layer before it."""
    for node in tree.walk():
        if node.clients == tree.clients:
            yield Group(node.depth, node.clients)
