"""Where each layer of a version lies in the largest version of its family, the last of its `VERSIONS`.

A smaller member trains a part of the largest one, layer by layer. Most families name a layer alike in every version.
One that numbers its layers through says in a function `place` of its own which layer of the largest version it means.
"""

from collections.abc import Sequence

from flexifed.settings import registry
from flexifed.system.errors import UserError


def places(family: str, version: str, layers: Sequence[str]) -> tuple[str, ...]:
    """The names, in the largest version, of a version's layers; distinct, and in the same order.

    Names alone say nothing of shapes: a layer may have more inputs in a shallow version than in the largest one, as the
    first fully connected layer of `charcnn` has, whose shallow versions leave more positions.

    Args:
        family: registered name.
        version: one of its `VERSIONS`.
        layers: names of layers of that version's chain, in order of execution.

    Raises:
        UserError: the family or the version is not known, or no version of the family lies in another.
    """
    versions = registry.constant("family", family, "VERSIONS")
    if version not in versions:
        raise registry.unknown(f"version of family {family!r}", version, versions)
    if not registry.constant("family", family, "NESTED", True):
        raise UserError(
            f"family {family!r} has no smaller members: its versions {', '.join(versions)} are unrelated networks, "
            f"and no layer of one has a place in another. Nested families: {', '.join(nested())}."
        )
    place = getattr(registry.load("family", family), "place", None)
    return tuple(place(version, layer) for layer in layers) if place else tuple(layers)


def in_largest(family: str, version: str, layers: Sequence[str], largest: Sequence[str]) -> tuple[str, ...]:
    """The same, for a family in which the largest version may be the only one that lies in itself.

    Args:
        family: registered name.
        version: one of its `VERSIONS`.
        layers: names of all layers of that version's chain.
        largest: those of the largest version.

    Raises:
        UserError: as `places` does.
    """
    return tuple(layers) if tuple(layers) == tuple(largest) else places(family, version, layers)


def nested() -> tuple[str, ...]:
    """The families with more than one version whose versions lie in the largest one."""
    return tuple(
        family
        for family in registry.names("family")
        if len(registry.constant("family", family, "VERSIONS")) > 1
        and registry.constant("family", family, "NESTED", True)
    )
