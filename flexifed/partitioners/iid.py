"""Equal random pieces (authors' code, `iid` partition): every client sees the class mix of the data set."""

import numpy as np

from flexifed.data.samples import Assignment, Pool
from flexifed.partitioners._dealing import cut
from flexifed.system.errors import UserError

ALLOWED = {"parts": (0, None)}
"""Least and most of each option."""


def check(clients: int, *, parts: int) -> None:
    """Refuse what no data set could fulfil.

    Raises:
        UserError: fewer pieces than clients.
    """
    if parts and parts < clients:
        raise UserError(f"{clients} clients need {clients} parts, parts is {parts}: raise parts or set it to 0.")


def partition(train: Pool, test: Pool | None, clients: int, rng: np.random.Generator, *, parts: int = 0) -> Assignment:
    """Cut a random order of each split into `parts` pieces and give the clients the first ones.

    The authors cut 20 pieces for 8 clients, so that 40 % of CIFAR-10 is used: 2500 training and 500 test samples
    each. They drop the remainder of the division; here no sample is dropped, and pieces differ by at most one.

    Args:
        train: training samples.
        test: test samples, cut the same way; None asks for no test shards.
        clients: number of clients.
        rng: the partition's stream.
        parts: number of pieces; 0 means as many as clients.

    Raises:
        UserError: fewer pieces than clients, or fewer samples than pieces.
    """
    check(clients, parts=parts)
    parts = parts or clients
    training = cut(rng.permutation(len(train.labels)), parts, "training")[:clients]
    shards = [] if test is None else cut(rng.permutation(len(test.labels)), parts, "test")[:clients]
    return Assignment(training, shards)
