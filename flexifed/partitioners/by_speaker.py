"""Whole speakers (or writers) per client: the natural partition of speech data (LEAF, Caldas et al., 2018)."""

import heapq

import numpy as np
from numpy.typing import NDArray

from flexifed.data.samples import Assignment, Pool
from flexifed.partitioners._dealing import by_owner, like_training
from flexifed.system.errors import UserError


def partition(train: Pool, test: Pool | None, clients: int, rng: np.random.Generator) -> Assignment:
    """Deal speakers in random order, each to the client that has the fewest samples so far.

    All samples of a speaker go to one client, and client sizes differ by no more than the largest speaker. A recording
    of silence counts as a speaker. All training samples are dealt. Test samples follow the class mix and not the
    speakers: the official test lists hold other speakers than the training set.

    Args:
        train: training samples with their speakers.
        test: test samples, dealt as `like_training` says; None asks for no test shards.
        clients: number of clients.
        rng: the partition's stream.

    Raises:
        UserError: the data set has no speakers, or fewer speakers than clients.
    """
    if train.groups is None:
        raise UserError(
            "this data set does not say who spoke (or wrote) a sample, so by_speaker cannot deal it: use a speech "
            "data set or another partitioner, e.g. dirichlet."
        )
    speakers, speaker, sizes = np.unique(train.groups, return_inverse=True, return_counts=True)
    if len(speakers) < clients:
        raise UserError(
            f"{clients} clients need {clients} speakers, the training set has {len(speakers)}: use fewer clients."
        )
    owners = _balanced(sizes, clients, rng)[speaker]
    training = by_owner(np.arange(len(owners)), owners, clients)
    return Assignment(training, like_training(train, test, training, rng))


def _balanced(sizes: NDArray[np.int64], clients: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The client of each speaker, int64 [speakers]; sizes are the speakers' numbers of samples."""
    owner = np.empty(len(sizes), dtype=np.int64)
    load = [(0, client) for client in range(clients)]
    for s in rng.permutation(len(sizes)):
        samples, client = load[0]
        owner[s] = client
        heapq.heapreplace(load, (samples + int(sizes[s]), client))
    return owner
