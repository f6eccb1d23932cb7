"""Class proportions from a Dirichlet distribution (Hsu et al., 2019; per class as in Yurochkin et al., ICML 2019)."""

import numpy as np
from numpy.typing import NDArray

from flexifed.data.samples import Assignment, Pool
from flexifed.partitioners._dealing import by_class, deal, like_training
from flexifed.system.errors import UserError

MOST_DRAWS = 1000
"""Draws before giving up. Without a limit an unlucky request runs for ever (PFLlib issue 130)."""

ALLOWED = {"alpha": (1e-6, 1e6), "min_size": (1, None)}
"""Least and most of each option."""


def partition(
    train: Pool,
    test: Pool | None,
    clients: int,
    rng: np.random.Generator,
    *,
    alpha: float = 0.5,
    min_size: int = 10,
) -> Assignment:
    """Deal each class in proportions drawn from a symmetric Dirichlet distribution over the clients.

    All proportions are drawn again until every client has `min_size` training samples. All training samples are dealt.

    Args:
        train: training samples.
        test: test samples, dealt as `like_training` says; None asks for no test shards.
        clients: number of clients.
        rng: the partition's stream.
        alpha: concentration, 1e-6..1e6; 0.1 gives most clients one or two classes, 100 is close to IID.
        min_size: fewest training samples of a client, at least 1.

    Raises:
        UserError: fewer than ``clients * min_size`` samples, or no draw out of 1000 gave every client `min_size`.
    """
    if clients * min_size > len(train.labels):
        raise UserError(
            f"{clients} clients x min_size {min_size} need {clients * min_size:,} training samples, there are "
            f"{len(train.labels):,}: use fewer clients or a smaller min_size."
        )
    counts = _draw_counts(np.bincount(train.labels), clients, rng, alpha, min_size)
    training = deal(by_class(train.labels, rng), counts)
    return Assignment(training, like_training(train, test, training, rng))


def _draw_counts(
    sizes: NDArray[np.int64], clients: int, rng: np.random.Generator, alpha: float, min_size: int
) -> NDArray[np.int64]:
    """Draw the samples of each class for each client, int64 [K, C]; columns add up to the class sizes, int64 [C]."""
    best = 0
    for _ in range(MOST_DRAWS):
        shares = rng.dirichlet(np.full(clients, alpha), size=len(sizes))
        ends = np.zeros((len(sizes), clients + 1), dtype=np.int64)
        ends[:, 1:] = np.minimum(np.cumsum(shares, axis=1), 1.0) * sizes[:, None]
        ends[:, -1] = sizes  # whatever rounding says: no sample is lost
        counts = np.diff(ends, axis=1).T
        smallest = int(counts.sum(axis=1).min())
        if smallest >= min_size:
            return counts
        best = max(best, smallest)
    raise UserError(
        f"no draw out of {MOST_DRAWS} gave each of {clients} clients min_size {min_size} of {sizes.sum():,} training "
        f"samples with alpha {alpha}: at best the smallest client had {best}. Use a larger alpha, fewer clients or a "
        "smaller min_size."
    )
