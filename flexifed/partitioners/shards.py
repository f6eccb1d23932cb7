"""Samples sorted by class and cut into shards, a few per client (McMahan et al., AISTATS 2017, section 3)."""

import numpy as np

from flexifed.data.samples import Assignment, Pool
from flexifed.partitioners._dealing import by_class, cut, like_training

ALLOWED = {"per_client": (1, None)}
"""Least and most of each option."""


def partition(
    train: Pool, test: Pool | None, clients: int, rng: np.random.Generator, *, per_client: int = 2
) -> Assignment:
    """Sort the training set by class, cut it into ``clients * per_client`` shards, deal `per_client` to each client.

    Shards are cut without regard to where a class ends, so a shard can hold two classes or more. All training samples
    are dealt.

    Args:
        train: training samples.
        test: test samples, dealt as `like_training` says; None asks for no test shards.
        clients: number of clients.
        rng: the partition's stream.
        per_client: shards per client; 2 in the source (200 shards of 300 MNIST images for 100 clients).

    Raises:
        UserError: fewer samples than shards.
    """
    shards = cut(np.concatenate(by_class(train.labels, rng)), clients * per_client, "training")
    hands = rng.permutation(len(shards)).reshape(clients, per_client)
    training = [np.concatenate([shards[i] for i in hand]) for hand in hands]
    return Assignment(training, like_training(train, test, training, rng))
