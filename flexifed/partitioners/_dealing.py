"""What partitioners have in common: dealing by counts, and test shards that follow the training classes.

Shapes: K clients, C classes, N samples. `counts` is int64 [K, C], samples of each class that each client gets.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flexifed.data.samples import Indices, Pool
from flexifed.system.errors import UserError


def cut(indices: Indices, pieces: int, split: str) -> list[Indices]:
    """Cut indices into `pieces` consecutive pieces whose sizes differ by at most one, the larger ones first.

    Raises:
        UserError: there are fewer samples than pieces.
    """
    if pieces > len(indices):
        raise UserError(
            f"the {split} set has {len(indices):,} samples, which cannot be cut into {pieces:,} pieces: "
            f"ask for at most {len(indices):,}."
        )
    return np.array_split(indices, pieces)


def by_class(labels: NDArray[np.int64], rng: np.random.Generator, classes: int = 0) -> list[Indices]:
    """The indices of each class in random order; classes without samples, up to `classes`, are empty arrays."""
    shuffled = rng.permutation(len(labels))
    grouped = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return np.split(grouped, np.cumsum(np.bincount(labels, minlength=max(classes, 1)))[:-1])


def by_owner(indices: Indices, owners: NDArray[np.int64], clients: int) -> list[Indices]:
    """Give each index to its owner in 0..clients-1."""
    grouped = indices[np.argsort(owners, kind="stable")]
    return np.split(grouped, np.cumsum(np.bincount(owners, minlength=clients))[:-1])


def deal(classes: Sequence[Indices], counts: NDArray[np.int64]) -> list[Indices]:
    """Give client k the next ``counts[k, c]`` indices of class c, for every k and c; what is left has no owner."""
    clients = len(counts)
    dealt = np.concatenate([indices[:n] for indices, n in zip(classes, counts.sum(axis=0), strict=True)])
    owners = np.repeat(np.tile(np.arange(clients), len(classes)), counts.T.ravel())
    return by_owner(dealt, owners, clients)


def class_counts(labels: NDArray[np.int64], lists: Sequence[Indices], classes: int) -> NDArray[np.int64]:
    """Samples of each class in each list of indices, int64 [K, C]."""
    return np.stack([np.bincount(labels[indices], minlength=classes) for indices in lists])


def like_training(
    train: Pool, test: Pool | None, assignment: Sequence[Indices], rng: np.random.Generator
) -> list[Indices]:
    """Test shards that follow the class mix of the clients' training samples (our decision).

    A client that holds a share of a class's training samples gets this share of the class's test samples, rounded up
    or down. What rounding leaves goes to the clients that are furthest behind, so that the sizes of the shards follow
    the sizes of the training lists too. A client that would be left without test samples takes one of its own
    classes: one that nobody got, or else from the client that has most of that class.

    Args:
        train: all training samples.
        test: all test samples; None asks for no shards.
        assignment: the indices of each client's training samples.
        rng: draws which samples, and who is served first among equals.

    Returns:
        Disjoint arrays of indices into the test split, one per client; an empty list if `test` is None.

    Raises:
        UserError: a client is left without a test sample all the same.
    """
    if test is None:
        return []
    classes = 1 + int(max(train.labels.max(initial=0), test.labels.max(initial=0)))
    held = class_counts(train.labels, assignment, classes)
    available = np.bincount(test.labels, minlength=classes)
    counts = _shares(held, np.bincount(train.labels, minlength=classes), available, rng)
    _serve_everybody(counts, held, available)
    return deal(by_class(test.labels, rng, classes), counts)


def _shares(
    held: NDArray[np.int64], totals: NDArray[np.int64], available: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Test samples of each class for each client, [K, C]: ``available * held / totals``, rounded up or down."""
    counts = np.zeros_like(held)
    behind = np.zeros(len(held))
    for c in np.flatnonzero(totals):
        counts[:, c], rest = np.divmod(held[:, c] * available[c], totals[c])
        behind += rest / totals[c]
        left = round(int(rest.sum()) / int(totals[c]))
        # Rounding hides float noise, so that equals are equals and chance decides between them.
        order = np.lexsort((rng.random(len(held)), -behind.round(9), rest == 0))
        counts[order[:left], c] += 1
        behind[order[:left]] -= 1
    return counts


def _serve_everybody(counts: NDArray[np.int64], held: NDArray[np.int64], available: NDArray[np.int64]) -> None:
    """Change `counts` so that every client with training samples has at least one test sample."""
    for client in np.flatnonzero((counts.sum(axis=1) == 0) & (held.sum(axis=1) > 0)):
        for c in np.argsort(-held[client], kind="stable")[: np.count_nonzero(held[client])]:
            if counts[:, c].sum() == available[c]:
                can_give = np.where(counts.sum(axis=1) > 1, counts[:, c], 0)
                if not can_give.any():
                    continue
                counts[np.argmax(can_give), c] -= 1
            counts[client, c] += 1
            break
        else:
            own = np.flatnonzero(held[client])
            raise UserError(
                f"no test sample is left for client {client}: it trains on {held[client].sum():,} samples of class(es) "
                f"{', '.join(map(str, own))}, of which the test set has {available[own].sum():,} samples for "
                f"{np.count_nonzero(held[:, own].sum(axis=1)):,} clients that hold them. Use fewer clients, a milder "
                "partition, or test every client on the whole test set (test_set: whole)."
            )
