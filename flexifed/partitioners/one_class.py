"""Partitions of a single class, a few at random per client (FlexiFed, appendix A.4)."""

import logging

import numpy as np
from numpy.typing import NDArray

from flexifed.data.samples import Assignment, Indices, Pool
from flexifed.partitioners._dealing import by_class, like_training
from flexifed.system.errors import UserError

LOG = logging.getLogger(__name__)

ALLOWED = {"per_client": (1, None), "parts": (0, None)}
"""Least and most of each option."""


def check(clients: int, *, per_client: int, parts: int) -> None:
    """Refuse what no data set could fulfil.

    Raises:
        UserError: fewer partitions than the clients draw.
    """
    drawn = clients * per_client
    if parts and parts < drawn:
        raise UserError(
            f"{clients} clients x {per_client} one-class partitions need {drawn} partitions, parts is {parts}: "
            "raise parts or set it to 0."
        )


def partition(
    train: Pool,
    test: Pool | None,
    clients: int,
    rng: np.random.Generator,
    *,
    per_client: int = 2,
    parts: int = 0,
) -> Assignment:
    """Cut the training set into `parts` one-class partitions and draw `per_client` of them for each client.

    The number of partitions of a class follows its size. The draw is without regard to classes, so a client can get
    two partitions of one class (the paper does not exclude it); the log names such clients.

    Args:
        train: training samples.
        test: test samples, dealt as `like_training` says; None asks for no test shards.
        clients: number of clients.
        rng: the partition's stream.
        per_client: one-class partitions per client; 2 in the paper.
        parts: number of one-class partitions; 0 means as many as the clients draw, but at least one of each class.

    Raises:
        UserError: fewer partitions than the clients draw or than there are classes, or fewer samples than partitions.
    """
    check(clients, per_client=per_client, parts=parts)
    sizes = np.bincount(train.labels, minlength=1)
    drawn = clients * per_client
    parts = parts or max(drawn, int(np.count_nonzero(sizes)))
    per_class = partitions_per_class(sizes, parts)
    chunks = [
        chunk
        for indices, n in zip(by_class(train.labels, rng), per_class, strict=True)
        if n
        for chunk in np.array_split(indices, n)
    ]
    hands = rng.permutation(len(chunks))[:drawn].reshape(clients, per_client)
    _log_repeats(hands, np.repeat(np.arange(len(sizes)), per_class))
    training: list[Indices] = [np.concatenate([chunks[i] for i in hand]) for hand in hands]
    return Assignment(training, like_training(train, test, training, rng))


def partitions_per_class(sizes: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    """Share `parts` partitions among classes of the given sizes, int64 [C], proportionally.

    Every class that has samples gets one; each further one goes to the class whose partitions are the largest, which
    keeps the largest partition as small as possible and never leaves a partition empty.

    Raises:
        UserError: fewer partitions than classes, or fewer samples than partitions.
    """
    present = np.count_nonzero(sizes)
    if parts < present:
        raise UserError(
            f"{present} classes need at least {present} one-class partitions, parts is {parts}: "
            "raise parts or set it to 0."
        )
    if parts > sizes.sum():
        raise UserError(
            f"the training set has {sizes.sum():,} samples, which cannot be cut into {parts:,} one-class partitions: "
            "use fewer clients, a smaller per_client or fewer parts."
        )
    per_class = (sizes > 0).astype(np.int64)
    for _ in range(parts - present):
        per_class[np.argmax(sizes / np.maximum(per_class, 1))] += 1
    return per_class


def _log_repeats(hands: NDArray[np.int64], classes: NDArray[np.int64]) -> None:
    """Log the clients that drew a class more than once; hands int64 [K, per_client], classes int64 [parts]."""
    repeats = [client for client, hand in enumerate(hands) if len(set(classes[hand])) < len(hand)]
    LOG.info("one_class: %d of %d clients drew a class more than once: %s", len(repeats), len(hands), repeats)
