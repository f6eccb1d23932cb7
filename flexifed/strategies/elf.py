"""eLF: clients hold a shallower member of the family, and the server averages layers by their place.

After a reader's notes on "Model elasticity for hardware heterogeneity in federated learning systems", whose code is
closed. Its transform drops layers until a member fits a client's budget; the inverse puts them back, and the server
averages over the cohort. What stands for a layer that a client does not have is `fill`: zeros, as the notes recommend;
nothing, so that the mean is over its owners (as in HeteroFL); the client's layer before it; or random values.
"""

from collections.abc import Iterator

from flexifed.sharing.regions import Places, Region
from flexifed.system.errors import UserError
from flexifed.training.rules import Fill, Filled, Rule

BY_PLACE = True
"""Layers are matched by their place in the largest version, not by what comes before them."""
ALLOWED = {
    "cuts": ("depth", "depth_and_width", "depth_and_sparsity"),
    "fill": ("zeros", "owners", "previous_layer", "random"),
}


def groups(places: Places, *, cuts: str = "depth", fill: Fill = "zeros") -> Iterator[Region]:
    """Every layer is averaged among all clients; `cuts` says what members are smaller by.

    Raises:
        UserError: a layer, or random values, are to stand for channels or for single values.
    """
    if cuts != "depth" and fill in ("previous_layer", "random"):
        raise UserError(
            f"elf: `fill: {fill}` stands for whole layers, and `cuts: {cuts}` cuts more; use zeros or owners."
        )
    for place, clients in places.items():
        yield Region(place, clients)


def server(*, fill: Fill = "zeros") -> Rule:
    """The mean over the cohort."""
    return Filled(fill)
