"""Clients of different sizes and one class mix: lognormal sizes above a minimum (FedProx, Li et al., MLSys 2020)."""

import numpy as np

from flexifed.data.samples import Assignment, Pool
from flexifed.partitioners._dealing import like_training
from flexifed.system.errors import UserError

ALLOWED = {"sigma": (0, 10), "min_size": (1, None)}
"""Least and most of each option."""


def partition(
    train: Pool,
    test: Pool | None,
    clients: int,
    rng: np.random.Generator,
    *,
    sigma: float = 1.0,
    min_size: int = 10,
) -> Assignment:
    """Give every client `min_size` random samples, and the rest in proportion to lognormal weights.

    All training samples are dealt. The source draws sizes ``50 + lognormal(4, 2)`` for synthetic data; here the total
    is that of the data set, so only the spread of the lognormal matters.

    Args:
        train: training samples.
        test: test samples, dealt as `like_training` says; None asks for no test shards.
        clients: number of clients.
        rng: the partition's stream.
        sigma: standard deviation of the logarithm of the weights, 0..10; 0 gives equal sizes, the source has 2.
        min_size: fewest training samples of a client, at least 1.

    Raises:
        UserError: fewer than ``clients * min_size`` samples.
    """
    rest = len(train.labels) - clients * min_size
    if rest < 0:
        raise UserError(
            f"{clients} clients x min_size {min_size} need {clients * min_size:,} training samples, there are "
            f"{len(train.labels):,}: use fewer clients or a smaller min_size."
        )
    weights = np.exp(sigma * rng.standard_normal(clients))
    ends = np.round(np.cumsum(weights) / weights.sum() * rest).astype(np.int64) + min_size * np.arange(1, clients + 1)
    training = np.split(rng.permutation(len(train.labels)), ends[:-1])
    return Assignment(training, like_training(train, test, training, rng))
