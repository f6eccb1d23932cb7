"""HeteroFL: clients hold the first channels of every layer, as many as they can afford (Diao et al., ICLR 2021).

The mean of a value is over the clients that have it (Algorithm 1). While they train, members divide their activations
by their width (`scaler`), so that a layer gets as much as in the largest version. The paper's static batch
normalisation, whose statistics are taken anew from all training data before a test, is not here: running statistics are
averaged as any other value.
"""

from collections.abc import Iterator

from flexifed.sharing.regions import Places, Region

BY_PLACE = True
ALLOWED = {"cuts": ("width", "depth_and_width")}


def groups(places: Places, *, cuts: str = "width", scaler: bool = True) -> Iterator[Region]:
    """Every layer is averaged among all clients, value by value."""
    for place, clients in places.items():
        yield Region(place, clients, "leading", scaler)
