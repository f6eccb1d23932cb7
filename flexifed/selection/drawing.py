"""Weighted draws without replacement that cannot fail."""

import numpy as np
from numpy.typing import NDArray


def weighted(rng: np.random.Generator, ids: NDArray[np.int64], weights: NDArray[np.float64], number: int) -> list[int]:
    """Draw ids one after the other, each with a probability in proportion to its weight among those that are left.

    Exponential clocks (Efraimidis and Spirakis 2006): whoever rings first is drawn first. Ids of weight 0 come last, in
    random order, so there are always as many as are asked for.

    Args:
        rng: the stream.
        ids: int64 [n].
        weights: float64 [n], 0 or more.
        number: how many, at most n.

    Returns:
        Distinct ids in the order in which they were drawn.
    """
    clocks = rng.exponential(size=len(ids))
    with np.errstate(divide="ignore", over="ignore"):
        rings = clocks / weights
    return list(map(int, ids[np.lexsort((clocks, rings))[:number]]))
