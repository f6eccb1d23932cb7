"""Clustered-FL: one federation per architecture (the baseline of FlexiFed's Table 1)."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node


def groups(tree: Node) -> Iterator[Group]:
    """Every layer is averaged among the clients with the same whole chain."""
    for node in tree.walk():
        if node.ending:
            for depth in range(1, node.depth + 1):
                yield Group(depth, node.ending)
