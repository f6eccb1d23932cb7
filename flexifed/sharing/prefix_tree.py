"""Clients' chains in a prefix tree: a node holds the clients that agree on every layer up to its depth.

Which layers are common to whom is a question about prefixes only (FlexiFed, common base layers): a layer is common to
two clients if it and every layer before it are equal. The tree answers it for all clients at once, in time linear in
the number of layers of all chains, where comparing clients in pairs is quadratic in the number of clients.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Clients that average one layer; `depth` is its place in their chains, 1 for the first layer."""

    depth: int
    clients: tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """Clients whose first `depth` layers are equal; the root has depth 0 and holds all clients."""

    depth: int
    clients: tuple[int, ...]
    """In ascending order."""
    children: tuple["Node", ...]
    ending: tuple[int, ...]
    """Those clients whose chain ends here, i.e. whose whole architecture is the same."""

    def walk(self) -> Iterator["Node"]:
        """Every node below this one that stands for a layer (not the root), parents before children."""
        if self.depth > 0:
            yield self
        for child in self.children:
            yield from child.walk()


def build(chains: Sequence[Sequence[Hashable]]) -> Node:
    """The tree of the clients' chains of layer signatures; client i has `chains[i]`."""
    return _node(0, tuple(range(len(chains))), chains)


def _node(depth: int, clients: tuple[int, ...], chains: Sequence[Sequence[Hashable]]) -> Node:
    branches: dict[Hashable, list[int]] = {}
    ending = []
    for client in clients:
        if len(chains[client]) == depth:
            ending.append(client)
        else:
            branches.setdefault(chains[client][depth], []).append(client)
    children = tuple(_node(depth + 1, tuple(branch), chains) for branch in branches.values())
    return Node(depth, clients, children, tuple(ending))
