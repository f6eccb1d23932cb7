"""Oort's testing selector: how many clients to test, given numbers alone (Lai et al., OSDI 2021, section 5.1)."""

import math

from flexifed.system.errors import UserError


def clients_to_test(clients: int, deviation: float, spread: float, confidence: float = 0.95) -> int:
    """So many random clients that their mean does not exceed that of all clients by a deviation.

    Serfling's bound (Annals of Statistics 1974) for n draws without replacement out of N, solved for n:
    ``P(mean of n - mean of N >= d) <= exp(-2 n d^2 / ((1 - (n - 1) / N) spread^2))``. It is the formula of the authors'
    code (`oort/oort.py`), which takes 0.8 for the confidence whatever is asked, and does not round.

    Args:
        clients: N, at least 1.
        deviation: d, above 0, in the unit of `spread`.
        spread: the largest less the smallest value that a client can have, above 0.
        confidence: between 0 and 1, both excluded; of one side: for both sides of the mean ask for half the risk.

    Returns:
        n, at least 1 and at most `clients`; 1 where no mean can be so far off.

    Raises:
        UserError: a number is outside its range.
    """
    if not (clients >= 1 and deviation > 0 and spread > 0 and 0 < confidence < 1):
        raise UserError(
            f"clients {clients}, deviation {deviation:g} and spread {spread:g} must be above 0, and confidence "
            f"{confidence:g} between 0 and 1."
        )
    if deviation >= spread:
        return 1
    factor = 1 - 2 * clients / math.log(1 - confidence) * (deviation / spread) ** 2
    return min(math.ceil((clients + 1) / factor - 1e-9), clients)
