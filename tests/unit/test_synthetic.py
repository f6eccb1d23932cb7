"""The recipe of synthetic(alpha, beta), held against what its distributions say."""

from typing import Any

import numpy as np
import pytest

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.datasets import synthetic


def make(**options: Any) -> Prepared:
    return synthetic.prepare(None, Workers(1, lambda *_: None), **options)


def of_user(split: Split, user: int) -> np.ndarray:
    assert split.groups is not None
    return np.flatnonzero(split.groups == user)


@pytest.fixture(scope="module")
def many() -> Prepared:
    return make(users=1000)


def sizes(data: Prepared) -> np.ndarray:
    assert data.train.groups is not None and data.test.groups is not None
    return np.bincount(np.concatenate([data.train.groups, data.test.groups]))


def test_sizes_are_fifty_more_than_a_lognormal(many: Prepared) -> None:
    logarithms = np.log(np.maximum(sizes(many) - synthetic.LEAST, 0.5))

    assert sizes(many).min() >= synthetic.LEAST
    assert np.median(logarithms) == pytest.approx(4, abs=0.2), "median of 1000: a standard error of 0.08"
    assert np.subtract(*np.quantile(logarithms, [0.75, 0.25])) == pytest.approx(1.349 * 2, abs=0.4)


def test_nine_tenths_of_each_user_train(many: Prepared) -> None:
    assert many.train.groups is not None

    assert np.array_equal(np.bincount(many.train.groups), (0.9 * sizes(many)).astype(int))


def test_features_spread_as_the_recipe_says(many: Prepared) -> None:
    """Within a user the variance of feature j is j to the power of -1.2; users' means are N(B, 1), B ~ N(0, beta)."""
    samples = many.train.samples
    largest = samples[of_user(many.train, int(sizes(many).argmax()))]
    means = np.stack([samples[of_user(many.train, user)].mean(0) for user in range(1000)])

    assert largest.var(0) == pytest.approx(np.arange(1, 61) ** -1.2, rel=0.15)
    assert means.var(1).mean() == pytest.approx(1, abs=0.1), "of one user's features around its B"
    assert means.mean(1).std() == pytest.approx(1, abs=0.1), "B over the users"


def test_beta_is_a_standard_deviation() -> None:
    data = make(users=400, beta=5.0)
    centres = [data.train.samples[of_user(data.train, user)].mean() for user in range(400)]

    assert np.std(centres) == pytest.approx(5, rel=0.12), "not the square root of 5"


def test_alpha_changes_no_label() -> None:
    """As in the recipe: u shifts the scores of all ten classes by the same amount, u (1 + sum of x)."""
    same, other = make(alpha=0.0), make(alpha=5.0)

    assert np.array_equal(same.train.samples, other.train.samples)
    assert np.array_equal(same.train.labels, other.train.labels)


def test_labels_are_those_of_a_linear_model_of_each_user() -> None:
    """A least-squares fit of a user's labels by its samples ranks the right class first more often than chance."""
    data = make(users=1, seed=5)
    x = np.column_stack([data.train.samples, np.ones(len(data.train.labels))])
    weights, *_ = np.linalg.lstsq(x, np.eye(10)[data.train.labels], rcond=None)
    found = np.argmax(np.column_stack([data.test.samples, np.ones(len(data.test.labels))]) @ weights, axis=1)

    assert (found == data.test.labels).mean() > 0.5


def test_one_model_where_users_are_alike() -> None:
    """A linear model of some users fits others; with users of their own models it does not."""
    accuracies = {}
    for iid in (True, False):
        data = make(users=60, iid=iid)
        assert data.train.groups is not None
        seen = data.train.groups < 40
        x = np.column_stack([data.train.samples, np.ones(len(seen))])
        weights, *_ = np.linalg.lstsq(x[seen], np.eye(10)[data.train.labels[seen]], rcond=None)
        accuracies[iid] = (np.argmax(x[~seen] @ weights, axis=1) == data.train.labels[~seen]).mean()

    assert accuracies[True] > 0.6 > 0.4 > accuracies[False]


def test_more_users_leave_the_first_ones_as_they_are() -> None:
    few, more = make(users=3), make(users=5)
    n = len(few.train.labels)

    assert np.array_equal(few.train.samples, more.train.samples[:n])
    assert np.array_equal(few.train.labels, more.train.labels[:n])


def test_the_seed_decides_everything() -> None:
    one, again, other = make(users=2), make(users=2), make(users=2, seed=1)

    assert np.array_equal(one.train.samples, again.train.samples) and np.array_equal(one.test.labels, again.test.labels)
    assert not np.array_equal(one.train.samples[:50], other.train.samples[:50])
