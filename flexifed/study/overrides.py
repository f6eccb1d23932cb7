"""Layers of overrides: what wins over what, and in which layer a value of the outcome stands."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from flexifed.settings.faults import Place, value_at

WHOLE = ("options",)
"""Keys of a protocol whose mappings are replaced whole: a plugin's options belong to that plugin alone."""

_NOTHING = object()


def merged(base: Mapping[str, Any], over: Mapping[str, Any], whole: Container[str] = ()) -> dict[str, Any]:
    """Mappings are merged key by key as `snakemake.utils.update_config` does; all else, and `whole`, is replaced."""
    result = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping) and key not in whole
        result[key] = merged(result[key], value, whole) if nested else value
    return result


@dataclass(frozen=True)
class Layer:
    """Overrides of a protocol.

    Attributes:
        place: where they stand in the study; empty for those that do not.
        values: the overrides.
        under: the key of the protocol that they are of; empty for the protocol itself.
    """

    place: Place
    values: Mapping[str, Any]
    under: Place = ()

    def protocol(self) -> Mapping[str, Any]:
        """The overrides as those of a protocol. Another partitioner does not inherit the options of the one before."""
        values = reduce(lambda inner, key: {key: inner}, reversed(self.under), self.values)
        partition = values.get("partition")
        if isinstance(partition, Mapping) and "partitioner" in partition:
            return {**values, "partition": {"options": {}, **partition}}
        return values

    def holds(self, place: Place) -> bool:
        """Whether the protocol's value at a place is given here."""
        return value_at(self.protocol(), place, _NOTHING) is not _NOTHING


def resolved(layers: Sequence[Layer]) -> dict[str, Any]:
    """The protocol that layers make, of which a later one wins over an earlier one."""
    return reduce(lambda base, layer: merged(base, layer.protocol(), WHOLE), layers, dict[str, Any]())


def given(layers: Sequence[Layer], place: Place) -> Place | None:
    """Where in the study the protocol's value at a place is given; None where it is a preset's or a default."""
    layer = next((layer for layer in reversed(layers) if layer.place and layer.holds(place)), None)
    return (*layer.place, *place[len(layer.under) :]) if layer else None
