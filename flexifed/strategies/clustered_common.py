"""Clustered-Common of FlexiFed (its Algorithm 3): Basic-Common, then one federation per architecture."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import basic_common, clustered_fl


def groups(tree: Node) -> Iterator[Group]:
    """Layers common to all clients are averaged among all, the layers that remain among clients with the same chain."""
    common = list(basic_common.groups(tree))
    yield from common
    for group in clustered_fl.groups(tree):
        if group.depth > len(common):
            yield group
