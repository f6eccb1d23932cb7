"""What every partitioner promises, checked for each registered one.

With its default options it deals the whole training set to five clients or more (one_class: two of ten classes each;
natural: where there are as many groups as clients); with any options it gives a valid assignment or a `UserError`.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexifed.data.samples import Assignment, Pool
from flexifed.settings import registry
from flexifed.system.errors import UserError

NAMES = registry.names("partitioner")


def pool(n: int, *, classes: int = 10, speakers: int = 60) -> Pool:
    """Unbalanced classes: class c has about c + 1 times as many samples as class 0."""
    generator = np.random.default_rng(n)
    weights = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    labels = np.append(np.arange(classes), generator.choice(classes, size=n - classes, p=weights))
    return Pool(labels, generator.integers(0, speakers, n).astype(np.int32))


def deal(name: str, train: Pool, test: Pool | None, clients: int, seed: int = 0, **options: Any) -> Assignment:
    registry.check_options("partitioner", name, options)
    assignment: Assignment = registry.load("partitioner", name).partition(
        train, test, clients, np.random.default_rng(seed), **options
    )
    return assignment


def assert_valid(lists: list[np.ndarray], clients: int, size: int) -> None:
    assert len(lists) == clients
    assert all(len(indices) >= 1 and indices.dtype == np.int64 for indices in lists)
    dealt = np.concatenate(lists)
    assert len(np.unique(dealt)) == len(dealt), "a sample has two owners"
    assert dealt.min() >= 0 and dealt.max() < size


def same(one: Assignment, other: Assignment) -> bool:
    pairs = [*zip(one.train, other.train, strict=True), *zip(one.test, other.test, strict=True)]
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("clients", [5, 8, 13])
@pytest.mark.parametrize("name", NAMES)
def test_deals_the_whole_training_set_once(name: str, clients: int) -> None:
    speakers = clients if name == "natural" else 60

    assignment = deal(name, pool(3000, speakers=speakers), pool(700, speakers=speakers), clients)

    assert_valid(assignment.train, clients, 3000)
    assert sum(map(len, assignment.train)) == 3000
    assert_valid(assignment.test, clients, 700)


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_everything(name: str) -> None:
    first = deal(name, pool(3000), pool(700), 8, seed=1)

    assert same(first, deal(name, pool(3000), pool(700), 8, seed=1))
    assert not same(first, deal(name, pool(3000), pool(700), 8, seed=2))


@pytest.mark.parametrize("name", NAMES)
def test_shards_of_the_test_set_do_not_change_the_training_lists(name: str) -> None:
    with_shards, without = deal(name, pool(3000), pool(700), 8), deal(name, pool(3000), None, 8)

    assert without.test == []
    assert same(Assignment(with_shards.train, []), without)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_left_alone(name: str) -> None:
    train, test = pool(3000), pool(700)

    deal(name, train, test, 8)

    assert np.array_equal(train.labels, pool(3000).labels) and np.array_equal(test.labels, pool(700).labels)


@pytest.mark.parametrize("name", NAMES)
def test_million_samples(name: str) -> None:
    assignment = deal(name, pool(1_000_000, speakers=2000), pool(100_000, speakers=2000), 100)

    assert_valid(assignment.train, 100, 1_000_000)
    assert_valid(assignment.test, 100, 100_000)


def any_value(default: Any) -> st.SearchStrategy[Any]:
    """Values of the type of an option's default, also impossible ones."""
    return st.integers(-1, 30) if isinstance(default, int) else st.one_of(st.floats(-0.5, 5), st.floats())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_valid_or_refused_whatever_is_asked(name: str, data: st.DataObject) -> None:
    labels = st.lists(st.sampled_from([0, 0, 0, 1, 1, 3, 7]), max_size=60).map(lambda x: np.array(x, dtype=np.int64))
    train, test = data.draw(labels), data.draw(labels)
    groups, test_groups = (
        data.draw(st.none() | st.just((np.arange(len(each)) % 7).astype(np.int32))) for each in (train, test)
    )
    defaults = registry.keywords("partitioner", name)
    options = {option: data.draw(st.just(value) | any_value(value), label=option) for option, value in defaults.items()}
    clients = data.draw(st.integers(1, 12), label="clients")

    try:
        assignment = deal(name, Pool(train, groups), Pool(test, test_groups), clients, **options)
    except UserError:
        return
    assert_valid(assignment.train, clients, len(train))
    assert_valid(assignment.test, clients, len(test))
