"""Log-normal speeds and bandwidths: a stand-in where FedScale's table is not at hand.

The defaults fit that table of 51,496 devices by maximum likelihood: medians are its geometric means, sigmas the
standard deviations of its logarithms; in the table, too, speed and bandwidth do not depend on one another (correlation
of the logarithms 0.002). The table's speeds have two humps, below 60 and above 120 ms, which no log-normal has.
"""

import numpy as np
from numpy.typing import NDArray

from flexifed.devices.fleet import Capacities

ALLOWED = {
    "milliseconds": (0.001, None),
    "milliseconds_sigma": (0, 10),
    "kilobits": (0.001, None),
    "kilobits_sigma": (0, 10),
}


def capacities(
    clients: int,
    rng: np.random.Generator,
    *,
    milliseconds: float = 53.7,
    milliseconds_sigma: float = 0.876,
    kilobits: float = 6951.0,
    kilobits_sigma: float = 1.116,
) -> Capacities:
    """Draw a device for each client.

    Args:
        clients: number of clients.
        rng: of the devices' capacities.
        milliseconds: median of a forward pass of one sample.
        milliseconds_sigma: standard deviation of its logarithm; 0 gives equal speeds.
        kilobits: median of the bandwidth, a second, in either direction.
        kilobits_sigma: standard deviation of its logarithm.
    """
    return Capacities(
        _draw(clients, rng, milliseconds, milliseconds_sigma), _draw(clients, rng, kilobits, kilobits_sigma)
    )


def _draw(clients: int, rng: np.random.Generator, median: float, sigma: float) -> NDArray[np.float64]:
    """To three decimals, so that the last bits of a machine's exponential do not matter; at least 0.001."""
    return np.maximum(np.round(median * np.exp(sigma * rng.standard_normal(clients)), 3), 0.001)
