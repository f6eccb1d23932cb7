"""FedRolex: HeteroFL whose window over the channels rolls on by one in every round (Alam et al., NeurIPS 2022).

So every value of the largest version is trained by clients that can afford a part of it only (Algorithm 1). The scaler
is HeteroFL's.
"""

from collections.abc import Iterator

from flexifed.sharing.regions import Places, Region

BY_PLACE = True
OPTIMISER_STATE = "new"
"""A momentum that is kept would be that of channels which the client no longer has."""
ALLOWED = {"cuts": ("width", "depth_and_width")}


def groups(places: Places, *, cuts: str = "width", scaler: bool = True) -> Iterator[Region]:
    """Every layer is averaged among all clients, value by value."""
    for place, clients in places.items():
        yield Region(place, clients, "rolling", scaler)
