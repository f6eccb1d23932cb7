"""The statistics of all tables: against scipy's, and on made-up seeds whose answer is known.

What a table makes of them is tested beside the table; here is only what is over seeds.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flexifed.analysis import deviation, effects, finals, statistics, tables
from flexifed.analysis.effects import Effect
from flexifed.settings.cell import Cell
from tests.unit.results import PROTOCOL, write_study

accuracies = st.floats(0, 100).map(lambda value: round(value, 4))


def seeds_of(size: int, most: int = 8) -> st.SearchStrategy[list[float]]:
    """Percentages of several seeds that are not all the same."""
    return st.lists(accuracies, min_size=size, max_size=most).filter(lambda values: np.std(values) > 1e-3)


# One number per seed


def test_mean_deviation_and_interval_of_two_seeds() -> None:
    """Deviation sqrt(2), standard error 1, t of one degree of freedom 12.706."""
    summary = statistics.summarise(pd.Series([60.0, 62.0]))
    assert (summary.n_seeds, summary.mean) == (2, 61.0)
    assert summary.std == pytest.approx(1.41421, abs=1e-5)
    assert (summary.ci95_low, summary.ci95_high) == pytest.approx((61 - 12.706, 61 + 12.706), abs=1e-3)


@given(seeds_of(2))
def test_mean_deviation_and_interval_are_scipys(values: list[float]) -> None:
    summary = statistics.summarise(pd.Series(values))
    one_sample = stats.ttest_1samp(values, 0)
    interval = one_sample.confidence_interval(0.95)
    assert (summary.n_seeds, summary.mean) == (len(values), pytest.approx(np.mean(values)))
    assert summary.std == pytest.approx(stats.tstd(values))
    assert (summary.ci95_low, summary.ci95_high) == pytest.approx((interval.low, interval.high), abs=1e-6)


def test_one_seed_has_no_interval() -> None:
    summary = statistics.summarise(pd.Series([60.0]))
    assert (summary.n_seeds, summary.mean) == (1, 60.0)
    assert all(map(math.isnan, (summary.std, summary.ci95_low, summary.ci95_high)))


def test_no_seed_has_no_number() -> None:
    summary = statistics.summarise(pd.Series(dtype=float))
    assert summary.n_seeds == 0
    assert math.isnan(summary.mean)


SIMULATIONS = 4000


def expected_share(share: float) -> tuple[float, float]:
    """Shares of so many simulations between which a right procedure falls in all but 1 of 10,000 cases."""
    low, high = stats.binom.interval(0.9999, SIMULATIONS, share)
    return low / SIMULATIONS, high / SIMULATIONS


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_95_of_100_intervals_hold_the_truth(n_seeds: int) -> None:
    draws = np.random.default_rng(n_seeds).normal(80.0, 1.5, (SIMULATIONS, n_seeds))
    summaries = [statistics.summarise(pd.Series(draw)) for draw in draws]
    held = np.mean([summary.ci95_low < 80.0 < summary.ci95_high for summary in summaries])
    low, high = expected_share(0.95)
    assert low <= held <= high


# Differences within a seed


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([1.0, 1.1], "holds"),
        ([-1.0, -1.1], "contradicted"),
        ([1.0, 3.0], "not resolved"),
        ([1.0, 1.0], "not resolved"),
        ([-0.3, 0.1 - 0.4, -0.3], "not resolved"),
        ([9.0], "one seed"),
        ([], "missing"),
    ],
)
def test_verdicts(differences: list[float], verdict: str) -> None:
    assert statistics.verdict(statistics.summarise(pd.Series(differences, dtype=float))) == verdict


def test_an_ordering_that_is_not_there_is_claimed_as_often_as_the_interval_says() -> None:
    """Strategies that differ by chance alone: 2.5 of 100 intervals are above zero, and as many below."""
    draws = np.random.default_rng(7).normal(0.0, 2.0, (SIMULATIONS, 3))
    verdicts = [statistics.verdict(statistics.summarise(pd.Series(draw))) for draw in draws]
    low, high = expected_share(0.025)
    for claimed in ("holds", "contradicted"):
        assert low <= verdicts.count(claimed) / SIMULATIONS <= high


def numbers(strategy: str, values: dict[int, float]) -> pd.DataFrame:
    """Final numbers of a line by seed, as `finals.final_numbers` gives them."""
    line = {"dataset": "cifar10", "family": "vgg", "strategy": strategy, "protocol": "official", "version": finals.MEAN}
    return pd.DataFrame([{**line, "seed": seed, "final": value} for seed, value in values.items()])


@given(st.dictionaries(st.integers(0, 9), st.tuples(accuracies, accuracies), min_size=2), st.data())
def test_comparisons_are_scipys_paired_test_of_the_seeds_that_both_have(
    pairs: dict[int, tuple[float, float]], data: st.DataObject
) -> None:
    """Either strategy lacks seeds, and they come in any order."""
    higher, lower = (
        {seed: pairs[seed][i] for seed in data.draw(st.permutations(sorted(pairs))) if data.draw(st.booleans())}
        for i in (0, 1)
    )
    found = pd.concat([numbers("basic_common", higher), numbers("standalone", lower)])
    if found.empty:
        return
    expected = [Cell("cifar10", "vgg", s, "official", seed) for s in ("standalone", "basic_common") for seed in pairs]
    (row,) = tables.comparisons(found, expected).to_dict("records")
    both = sorted(set(higher) & set(lower))
    assert row["n_seeds"] == len(both)
    differences = [higher[seed] - lower[seed] for seed in both]
    if len(both) > 1 and np.std(differences) > 1e-3:
        paired = stats.ttest_rel([higher[seed] for seed in both], [lower[seed] for seed in both])
        interval = paired.confidence_interval(0.95)
        assert row["difference"] == pytest.approx(np.mean(differences), abs=1e-6)
        assert (row["ci95_low"], row["ci95_high"]) == pytest.approx((interval.low, interval.high), abs=1e-5)
        resolved = row["verdict"] in ("holds", "contradicted")
        assert resolved == (paired.pvalue < 0.05) or abs(paired.pvalue - 0.05) < 1e-6
    elif len(both) < 2:
        assert math.isnan(row["ci95_low"]) and row["verdict"] in ("one seed", "missing")


# Effects and interactions

PROTOCOLS = dict.fromkeys(("base", "a", "b", "both"), PROTOCOL)
NAMED = [
    Effect("first", "a", "a", "base", PROTOCOL.final),
    Effect("second", "b", "b", "base", PROTOCOL.final),
    Effect("pair", "a and b", "both", "base", PROTOCOL.final, ("a", "b")),
]
"""The pair is 1 point beyond the sum of 2 and -3 points."""
TRUTH = {"base": 0.0, "a": 2.0, "b": -3.0, "both": 0.0}


def accuracy_of(seeds: int) -> pd.DataFrame:
    """A row per seed, a column per protocol: seeds differ by 5 points, protocols of a seed by the truth and little."""
    rng = np.random.default_rng(11)
    level = rng.normal(70.0, 5.0, (seeds, 1)) + np.array(list(TRUTH.values()))
    return pd.DataFrame(level + rng.normal(0.0, 0.3, level.shape), columns=[*TRUTH])


def summaries(folder: Path, accuracy: pd.DataFrame) -> pd.DataFrame:
    """Effects of a study that reached these accuracies; NaN was not run."""
    expected = {
        Cell("cifar10", "vgg", "max_common", str(name), seed): value
        for name, column in accuracy.items()
        for seed, value in enumerate(column)
    }
    there = {one: {"V1": value - 1, "V2": value + 1} for one, value in expected.items() if not math.isnan(value)}
    cells, _ = write_study(folder, there)
    return effects.summaries(effects.by_seed(cells, list(expected), PROTOCOLS, NAMED))


def test_effects_and_interactions_are_scipys_of_the_seeds_that_have_all_parts(tmp_path: Path) -> None:
    """Three of eight seeds lack a protocol each, the base among them."""
    accuracy = accuracy_of(8)
    accuracy.loc[1, "a"] = accuracy.loc[4, "base"] = accuracy.loc[6, "both"] = math.nan
    table = summaries(tmp_path, accuracy)
    sums = accuracy["a"] + accuracy["b"] - accuracy["base"]
    pairs = [(accuracy[name], accuracy["base"]) for name in ("a", "b", "both")] + [(accuracy["both"], sums)]
    assert list(table["quantity"]) == ["effect", "effect", "effect", "interaction"]
    assert list(table["n_seeds"]) == [6, 7, 6, 5]
    for (changed, unchanged), (_, row) in zip(pairs, table.iterrows(), strict=True):
        paired = stats.ttest_rel(changed, unchanged, nan_policy="omit")
        interval = paired.confidence_interval(0.95)
        assert row["difference"] / row["standard_error"] == pytest.approx(paired.statistic)
        assert (row["ci95_low"], row["ci95_high"]) == pytest.approx((interval.low, interval.high))


def test_known_effects_and_a_known_interaction_are_found(tmp_path: Path) -> None:
    """Seeds differ by 5 points and the effects are 2, -3 and 0: pairing takes the seeds out."""
    table = summaries(tmp_path, accuracy_of(6))
    assert list(table["outcome"]) == ["raises", "lowers", "not resolved", "raises"]
    for truth, (_, row) in zip((2.0, -3.0, 0.0, 1.0), table.iterrows(), strict=True):
        assert row["ci95_low"] < truth < row["ci95_high"]
        assert row["ci95_high"] - row["ci95_low"] < 2


# Every table


def test_one_seed_claims_no_interval_in_any_table(tmp_path: Path) -> None:
    expected = [Cell("cifar10", "vgg", s, p, 0) for p in ("base", "a") for s in ("standalone", "max_common")]
    cells, runs = write_study(tmp_path, {one: {"V1": 60.0, "V2": 62.0} for one in expected})
    protocols = {name: replace(PROTOCOL) for name in ("base", "a")}
    presets = dict.fromkeys(protocols, "official")
    first = tmp_path / "table1.csv"
    tables.write(cells, runs, tmp_path, expected=expected, protocols=protocols)
    effects.write(cells, first, tmp_path, expected=expected, protocols=protocols, effects=NAMED[:1])
    deviation.write(first, runs, tmp_path, expected=expected, protocols=protocols, presets=presets)
    with_intervals = 0
    for path in sorted(tmp_path.glob("*.csv")):
        table = pd.read_csv(path)
        ends = [name for name in table if "ci95" in str(name) or name in ("std", "standard_error")]
        with_intervals += bool(ends)
        assert table[ends].isna().all(axis=None), path.name
    assert with_intervals == 7  # Table 1, Table 3 and its differences, phases, comparisons, effects, errors
