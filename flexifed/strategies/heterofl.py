"""HeteroFL: clients hold the first channels of every layer, as many as they can afford (Diao et al., ICLR 2021).

The mean of a value is over the clients that have it (Algorithm 1). The paper's scaler and its static batch
normalisation are `scaler` and `statistics`.
"""

from collections.abc import Iterator

from flexifed.sharing.regions import Places, Region

BY_PLACE = True
ALLOWED = {"cuts": ("width", "depth_and_width")}


def groups(places: Places, *, cuts: str = "width") -> Iterator[Region]:
    """Every layer is averaged among all clients, value by value."""
    for place, clients in places.items():
        yield Region(place, clients, "leading")
