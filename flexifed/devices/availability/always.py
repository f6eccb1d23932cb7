"""Devices that are always available."""

import numpy as np

from flexifed.devices.fleet import Spells

DAY = 86400.0


def spells(clients: int, rng: np.random.Generator) -> Spells:
    """One spell for each client, as long as the period, which is a day.

    Args:
        clients: number of clients.
        rng: not used.
    """
    return Spells(DAY, [np.zeros(1)] * clients, [np.full(1, DAY)] * clients)
