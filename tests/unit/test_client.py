"""Slices and batches of a client, counted by hand."""

from pathlib import Path

import numpy as np
import pytest

from flexifed.system.errors import UserError
from flexifed.training.client import Batch, batches, slice_of
from flexifed.training.engine import Federation
from tests.unit import federations

ORDER = np.array([7, 3, 9, 1, 5])


def test_slices_walk_through_the_list_and_begin_again() -> None:
    walked = [slice_of(ORDER, round_number, 2).tolist() for round_number in (1, 2, 3, 4)]
    assert walked == [[7, 3, 9], [1, 5], [7, 3, 9], [1, 5]]


def test_official_slices_are_250_of_2500() -> None:
    """As in the authors' script, whose pointer wraps at 2,500."""
    order = np.arange(2500)
    assert slice_of(order, 1, 10).tolist() == list(range(250))
    assert slice_of(order, 10, 10).tolist() == list(range(2250, 2500))
    assert slice_of(order, 11, 10).tolist() == list(range(250))


def test_a_list_shorter_than_the_number_of_slices_never_gives_an_empty_one() -> None:
    assert [slice_of(ORDER, r, 10).tolist() for r in (1, 5, 6)] == [[7], [5], [7]]


def test_a_frozen_pointer_never_leaves_the_first_slice() -> None:
    assert [slice_of(ORDER, r, 2, "frozen").tolist() for r in (1, 2, 7)] == [[7, 3, 9]] * 3


@pytest.mark.parametrize(("size", "reached"), [(2500, 1.0), (4500, 0.64), (9000, 0.37)])
def test_the_authors_pointer_reaches_a_part_of_longer_lists(size: int, reached: float) -> None:
    """CIFAR-10 in 20 parts; CINIC-10's 90,000 in 20 parts; its 180,000 in 20 parts."""
    order = np.arange(size)
    seen = np.unique(np.concatenate([slice_of(order, r, 10, "wraps_at_2500") for r in range(1, 503)]))
    assert len(seen) / size == pytest.approx(reached, abs=0.005)


def test_the_authors_walk_is_ours_on_2500_samples() -> None:
    for r in range(1, 23):
        ours, theirs = (slice_of(np.arange(2500), r, 10, pointer) for pointer in ("walking", "wraps_at_2500"))
        assert ours.tolist() == theirs.tolist()


def test_the_authors_pointer_runs_behind_the_end_of_shorter_lists() -> None:
    """40 clients with 1,250 samples, appendix A.4: their script would train on nothing in every other round."""
    order = np.arange(1250)
    assert len(slice_of(order, 10, 10, "wraps_at_2500")) == 125
    with pytest.raises(UserError, match=r"stands at 1,250 of a list of 1,250 samples.*slice_pointer: walking"):
        slice_of(order, 11, 10, "wraps_at_2500")


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return federations.assemble(tmp_path, federations.job())


def steps(federation: Federation, client: int, round_number: int, seed: int = 0) -> list[Batch]:
    return list(batches(federation.clients[client], federation.transform, federation.protocol, seed, round_number))


def test_every_epoch_is_a_pass_over_the_rounds_slice(federation: Federation) -> None:
    """16 samples a client, 2 slices: 8 of them in batches of 8, twice."""
    part = sorted(slice_of(federation.clients[1].train, 2, 2).tolist())
    found = steps(federation, 1, 2)
    assert [sorted(batch.indices.tolist()) for batch in found] == [part, part]
    assert found[0].indices.tolist() != found[1].indices.tolist()  # shuffled anew
    assert all(len(values) == 8 for batch in found for values in batch.draws.values())


def test_batches_depend_on_seed_client_and_round_alone(federation: Federation) -> None:
    def flat(client: int, round_number: int, seed: int = 0) -> list[list[int]]:
        found = steps(federation, client, round_number, seed)
        return [[*batch.indices.tolist(), *batch.draws["top"].tolist()] for batch in found]

    assert flat(1, 1) == flat(1, 1)
    assert flat(1, 1) != flat(1, 3)  # the same slice, other choices
    assert flat(1, 1) != flat(1, 1, seed=1)
