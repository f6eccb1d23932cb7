"""Devices that are all the same: what a round takes then depends on samples and bytes alone."""

import numpy as np

from flexifed.devices.fleet import Capacities

ALLOWED = {"milliseconds": (0.001, None), "kilobits": (0.001, None)}


def capacities(
    clients: int, rng: np.random.Generator, *, milliseconds: float = 41.0, kilobits: float = 6075.0
) -> Capacities:
    """Give everybody the same device.

    Args:
        clients: number of clients.
        rng: not used.
        milliseconds: of a forward pass of one sample; the default is the median of FedScale's table.
        kilobits: a second, in either direction; the default is the median of FedScale's table.
    """
    return Capacities(np.full(clients, float(milliseconds)), np.full(clients, float(kilobits)))
