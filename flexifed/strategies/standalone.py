"""Standalone: clients train alone (the lower baseline of FlexiFed's Table 1)."""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node


def groups(tree: Node) -> Iterator[Group]:
    """Nothing is averaged."""
    yield from ()
