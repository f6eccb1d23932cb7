"""Layers by their place in a family's largest version: what elastic strategies share, whatever clients have cut off."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Window = Literal["leading", "rolling"]
"""Which channels of a layer a narrower member has: the first ones; or others in every round, one further each time."""

Places = Mapping[str, tuple[int, ...]]
"""The clients, ascending, that have a layer at each place. A place is the layer's name in the largest version."""


@dataclass(frozen=True)
class Region:
    """Clients that average what they have of one layer of the largest version.

    Attributes:
        place: of the layer.
        clients: ascending.
        window: which channels narrower members have.
        scaled: whether narrower members' activations are divided by their width while they train.
    """

    place: str
    clients: tuple[int, ...]
    window: Window = "leading"
    scaled: bool = False


@dataclass(frozen=True)
class Member:
    """A smaller member of a family, which a tier of clients can afford.

    Attributes:
        version: of the family, with its depth.
        width: factor on every hidden width of that version.
        sparsity: share of the values of its convolutions and linear layers that do not exist.
        work: multiply-adds of a sample, as a share of the largest version's.
    """

    version: str
    width: float = 1.0
    sparsity: float = 0.0
    work: float = 1.0

    @property
    def is_whole(self) -> bool:
        """Whether its layers are those of its version."""
        return self.width == 1 and self.sparsity == 0
