"""A synthetic week in which a device is available at night, when it charges, and for short times by day (our decision).

It stands in for traces of real phones, such as FedScale's, whose devices are available while they charge with a
network at hand. It is seeded and made up: no number of it comes from a trace.
"""

import math

import numpy as np

from flexifed.devices.availability._spells import tidy
from flexifed.devices.fleet import Spells

ALLOWED = {"share": (0.01, 0.99), "zones": (0, 24), "drift": (0, 12)}

HOUR, DAY, DAYS = 3600.0, 86400.0, 7
NIGHTLY = 0.8
"""Share of the available time that nights take, before short spells by day are added."""
SIGMA = 0.3
"""Standard deviation of the logarithm of a night's length."""
BY_DAY = 2
"""Short spells a day, at any time; their lengths are exponential."""


def spells(
    clients: int, rng: np.random.Generator, *, share: float = 0.4, zones: float = 24.0, drift: float = 1.0
) -> Spells:
    """Draw a week for each client; it repeats.

    Each client has a middle of the night of its own, about which every night's middle varies; the lengths of nights are
    log-normal. Times are whole seconds.

    Args:
        clients: number of clients.
        rng: of the devices' availability.
        share: expected share of the time in which a device is available; a little less comes out near 1, 0.92 for 0.95.
        zones: hours over which the clients' nights are spread evenly; 24 is the whole earth, 0 one place.
        drift: standard deviation of a night's middle, in hours.
    """
    night = NIGHTLY * share
    middles = HOUR * (rng.uniform(0, zones, (clients, 1)) + drift * rng.standard_normal((clients, DAYS)))
    spread = np.exp(SIGMA * rng.standard_normal((clients, DAYS)) - SIGMA**2 / 2)
    nights = np.minimum(DAY * night * spread, DAY)
    # Spells at random moments with this mean length leave (1 - share) / (1 - night) of the remaining time uncovered.
    mean = -DAY * math.log((1 - share) / (1 - night)) / BY_DAY
    starts = np.hstack(
        [middles + DAY * np.arange(DAYS) - nights / 2, rng.uniform(0, DAYS * DAY, (clients, DAYS * BY_DAY))]
    )
    lengths = np.hstack([nights, np.minimum(rng.exponential(mean, (clients, DAYS * BY_DAY)), DAY)])
    begin, end = np.round(starts), np.round(starts + lengths)
    pairs = [tidy(*both, DAYS * DAY) for both in zip(begin, end, strict=True)]
    return Spells(DAYS * DAY, [start for start, _ in pairs], [stop for _, stop in pairs])
