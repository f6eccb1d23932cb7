"""One client is one writer, speaker or user, as the data come (LEAF, Caldas et al., 2018; FedScale, Lai et al., 2022).

The other partitioner of groups, `by_speaker`, deals all of them, several to a client.
"""

import numpy as np
from numpy.typing import NDArray

from flexifed.data.samples import Assignment, Indices, Pool
from flexifed.system.errors import UserError

ALLOWED = {"at_least": (1, None)}
"""Least and most of each option."""

Groups = NDArray[np.int32]


def partition(
    train: Pool, test: Pool | None, clients: int, rng: np.random.Generator, *, at_least: int = 1
) -> Assignment:
    """Give each client all samples of one group; where there are more groups than clients, some are drawn.

    A client is tested on the test samples of its own group, so groups without any are left out, unless every client is
    tested on the whole test set. The order of the draw does not depend on the test set: where every group has test
    samples, training lists are the same in both cases.

    Args:
        train: training samples with their groups.
        test: test samples with their groups; None asks for no test shards.
        clients: number of clients.
        rng: the partition's stream.
        at_least: groups with fewer training samples are left out; 21 in FedScale's guide to Taobao.

    Raises:
        UserError: the data set has no groups, or fewer that can be clients than there are clients.
    """
    owner, tested = _groups(train), None if test is None else _groups(test)
    groups, sizes = np.unique(owner, return_counts=True)
    large = rng.permutation(groups[sizes >= at_least])
    fit = large if tested is None else large[np.isin(large, tested)]
    if len(fit) < clients:
        raise UserError(_too_few(clients, len(groups), at_least, len(large), len(fit)))
    chosen = fit[:clients]
    return Assignment(_members(owner, chosen), [] if tested is None else _members(tested, chosen))


def _groups(pool: Pool) -> Groups:
    """The group of each sample, int32 [N]."""
    if pool.groups is None:
        raise UserError(
            "this data set does not say who wrote, spoke or clicked a sample, so natural cannot deal it: use a data "
            "set with groups, such as femnist, or another partitioner, e.g. dirichlet."
        )
    return pool.groups


def _too_few(clients: int, groups: int, at_least: int, large: int, fit: int) -> str:
    untested = f", and {large - fit:,} of these have no test samples" if fit < large else ""
    whole = ", or test every client on the whole test set (test_set: whole)" if fit < large else ""
    return (
        f"{clients:,} clients need {clients:,} groups (writers, speakers or users). The training set has {groups:,}, "
        f"of which {large:,} have {at_least:,} samples or more{untested}: use fewer clients ({fit:,} at most) or a "
        f"smaller at_least{whole}."
    )


def _members(owner: Groups, chosen: Groups) -> list[Indices]:
    """The samples of each chosen group, ascending; `owner` is the group of each sample."""
    order = np.argsort(owner, kind="stable")
    starts, ends = (np.searchsorted(owner[order], chosen, side) for side in ("left", "right"))
    return [order[start:end] for start, end in zip(starts, ends, strict=True)]
