"""eLF: clients hold a shallower member of the family, and the server averages layers by their place.

After a reader's notes on "Model elasticity for hardware heterogeneity in federated learning systems", whose code is
closed. Its transform drops layers until a member fits a client's budget; the inverse puts them back, and the server
averages over the cohort. What stands for a layer that a client does not have is `fill`: zeros, as the notes recommend;
nothing, so that the mean is over its owners (as in HeteroFL); the client's layer before it; or random values.
"""

from collections.abc import Iterator

from flexifed.sharing.regions import Places, Region
from flexifed.training.rules import Fill, Filled, Rule

BY_PLACE = True
"""Layers are matched by their place in the largest version, not by what comes before them."""
ALLOWED = {
    "cuts": ("depth", "depth_and_width", "depth_and_sparsity"),
    "fill": ("zeros", "owners", "previous_layer", "random"),
}
ONLY_WITH = {"fill": {"previous_layer": ("cuts", "depth"), "random": ("cuts", "depth")}}
"""These stand for whole layers, and not for channels or single values."""


def groups(places: Places, *, cuts: str = "depth") -> Iterator[Region]:
    """Every layer is averaged among all clients; `cuts` says what members are smaller by."""
    for place, clients in places.items():
        yield Region(place, clients)


def server(*, fill: Fill = "zeros") -> Rule:
    """The mean over the cohort."""
    return Filled(fill)
