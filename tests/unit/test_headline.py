"""The headline claims: by hand, against scipy, and never beside the paper what may not stand there."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flexifed.analysis import headline, published, statistics, tables
from flexifed.report import Sources
from flexifed.report import headline as section
from flexifed.settings.cell import Cell
from tests.unit.results import PROTOCOL, write_study

LONGER = replace(PROTOCOL, rounds=4)


def claims(
    folder: Path, max_common: list[float], clustered_fl: list[float], *, dataset: str = "cifar10", **settings: Any
) -> pd.DataFrame:
    """A study of three seeds that reached these accuracies in both versions, 10 points a round; NaN was not run."""
    expected = [Cell(dataset, "vgg", s, "official", seed) for s in ("clustered_fl", "max_common") for seed in range(3)]
    values = dict(zip(expected, [*clustered_fl, *max_common], strict=True))
    there = {cell: {"V1": value, "V2": value} for cell, value in values.items() if not math.isnan(value)}
    cells, runs = write_study(folder, there, rounds=4, **settings)
    tables.write(cells, runs, folder, expected=expected, protocols={"official": LONGER})
    headline.write(cells, folder / "table1.csv", folder, expected=expected, protocols={"official": LONGER})
    return tables.read(folder / "headline.csv")


def mean(table: pd.DataFrame, claim: str) -> pd.Series:
    (index,) = table.index[(table["version"] == "mean") & (table["claim"] == claim)]
    return table.loc[index]


CLUSTERED = [60.0, 62.0, 64.0]
"""Targets 57, 58.9 and 60.8, all reached in the last of four rounds."""
FASTER = [66.0, 67.5, 69.5]
"""At the target in round 4 of each seed: one round before they are at 56, 57.5 and 59.5."""
FASTEST = [80.0, 82.0, 76.0]
"""At the target in rounds 2 (60), 2 (62) and 3 (66)."""


def test_a_gain_is_the_paired_difference_and_its_interval_scipys(tmp_path: Path) -> None:
    gain = mean(claims(tmp_path, FASTER, CLUSTERED), "gain")
    paired = stats.ttest_rel(FASTER, CLUSTERED).confidence_interval(0.95)
    assert (gain["n_seeds"], gain["value"], gain["verdict"]) == (3, pytest.approx(17 / 3, abs=1e-4), "holds")
    assert (gain["ci95_low"], gain["ci95_high"]) == pytest.approx((paired.low, paired.high), abs=1e-4)
    assert (gain["paper_low"], gain["paper_high"], gain["beside_paper"]) == (2.6, 9.7, "in")


def test_a_speed_is_a_geometric_mean_with_the_interval_of_the_logarithms(tmp_path: Path) -> None:
    ratio = mean(claims(tmp_path, FASTEST, CLUSTERED), "speed")
    logarithms = np.log([4 / 2, 4 / 2, 4 / 3])
    interval = np.exp(stats.t.interval(0.95, 2, np.mean(logarithms), stats.sem(logarithms)))
    assert ratio["value"] == pytest.approx(stats.gmean([2, 2, 4 / 3]), abs=1e-4)
    assert (ratio["ci95_low"], ratio["ci95_high"]) == pytest.approx(tuple(interval), abs=1e-4)
    assert (ratio["n_seeds"], ratio["not_reached"], ratio["verdict"]) == (3, 0, "not resolved")
    assert ratio["beside_paper"] == "not resolved"


def test_the_same_ratio_in_every_seed_resolves_nothing(tmp_path: Path) -> None:
    ratio = mean(claims(tmp_path, FASTER, CLUSTERED), "speed")
    assert (ratio["value"], ratio["verdict"], ratio["beside_paper"]) == (1.0, "not resolved", "not resolved")


def test_one_curve_below_the_target_leaves_no_ratio(tmp_path: Path) -> None:
    """Seed 2 ends at 50; the other two alone would say 2."""
    ratio = mean(claims(tmp_path, [80.0, 82.0, 50.0], CLUSTERED), "speed")
    assert (ratio["not_reached"], ratio["n_seeds"], ratio["verdict"]) == (1, 0, "not reached")
    assert ratio["beside_paper"] == "not reached"
    assert ratio[["value", "ci95_low", "ci95_high"]].isna().all()


def test_one_seed_claims_no_interval(tmp_path: Path) -> None:
    nan = math.nan
    table = claims(tmp_path, [80.0, 82.0, nan], [60.0, nan, 64.0])
    for claim, value in (("gain", 20.0), ("speed", 2.0)):
        line = mean(table, claim)
        assert (line["n_seeds"], line["verdict"], line["beside_paper"]) == (1, "one seed", "one seed")
        assert line["value"] == pytest.approx(value)
        assert line[["ci95_low", "ci95_high"]].isna().all()


def test_a_missing_strategy_is_missing(tmp_path: Path) -> None:
    table = claims(tmp_path, [math.nan] * 3, CLUSTERED)
    assert set(table["verdict"]) == set(table["beside_paper"]) == {"missing"}
    assert table[["value", "ci95_low", "ci95_high", "paper_low", "paper_high"]].isna().all(axis=None)
    assert table["note"].str.contains("Max-Common: missing").all()


@pytest.mark.parametrize(
    ("dataset", "settings", "note"),
    [
        ("cifar10", {"width": 0.125}, "width 1/8"),
        ("cifar10", {"verified": False}, "data: local copy, not verified"),
        ("digits", {}, ""),
    ],
)
def test_what_differs_from_the_paper_is_not_set_beside_its_range(
    tmp_path: Path, dataset: str, settings: dict[str, Any], note: str
) -> None:
    table = claims(tmp_path, FASTER, CLUSTERED, dataset=dataset, **settings)
    assert set(table["beside_paper"]) == {"not comparable"}
    assert table[["paper_low", "paper_high"]].isna().all(axis=None)
    assert table["note"].str.contains(note, regex=False).all()
    assert mean(table, "gain")["verdict"] == "holds"


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([4.9, 5.0, 5.1], "in"),
        ([19.9, 20.0, 20.1], "above"),
        ([0.9, 1.0, 1.1], "below"),
        ([2.0, 3.0, 4.0], "not resolved"),
        ([5.0, 5.0, 5.0], "not resolved"),
        ([5.0], "one seed"),
        ([], "missing"),
    ],
)
def test_where_an_interval_lies(values: list[float], place: str) -> None:
    assert headline.position(statistics.summarise(pd.Series(values, dtype=float)), 2.6, 9.7) == place


def test_a_study_without_both_strategies_makes_no_claim(tmp_path: Path) -> None:
    cell = Cell("cifar10", "vgg", "max_common", "official", 0)
    cells, runs = write_study(tmp_path, {cell: {"V1": 60.0, "V2": 62.0}})
    tables.write(cells, runs, tmp_path, expected=[cell], protocols={"official": PROTOCOL})
    headline.write(cells, tmp_path / "table1.csv", tmp_path, expected=[cell], protocols={"official": PROTOCOL})
    assert not section.section(Sources("study", tmp_path, runs, [], [cell])).parts


def test_the_papers_range_of_gains_is_that_of_the_versions_of_its_table() -> None:
    """Its largest gain is the range's end; two versions of its Table 1 gain less than the text says."""
    paper = published.table1()[published.table1()["source"] == published.PAPER]
    wide = paper.pivot(index=["dataset", "family", "version"], columns="strategy", values="accuracy_percent")
    gains = (wide["max_common"] - wide["clustered_fl"]).round(1)
    low, high = headline.paper_range("gain")
    assert (gains.min(), gains.max()) == (2.4, high)
    assert (gains < low).sum() == 2
    assert (gains == low).any()
    means = gains.groupby(["dataset", "family"]).mean().round(2)
    assert (means.min(), means.max()) == (3.7, 7.0)


# In words


def test_words_say_what_the_seeds_allow(tmp_path: Path) -> None:
    table = claims(tmp_path, FASTER, CLUSTERED)
    assert section.sentences(table, "gain") == [
        "Better, with the 95 % interval above zero: CIFAR-10, VGG, protocol official +5.7 (4.9 to 6.4).",
        "The interval lies in the paper's range: CIFAR-10, VGG, protocol official.",
    ]
    slower = claims(tmp_path / "slower", [80.0, 82.0, 50.0], CLUSTERED, width=0.125)
    assert section.sentences(slower, "speed") == [
        "No ratio, because a curve of at least one seed stays below the target: CIFAR-10, VGG, protocol official.",
        "None of it may be set beside the paper's range.",
    ]


def test_words_count_the_blocks_that_may_not_stand_beside_the_paper(tmp_path: Path) -> None:
    both = [claims(tmp_path / name, FASTER, CLUSTERED, dataset=name) for name in ("cifar10", "digits")]
    *_, last = section.sentences(pd.concat(both, ignore_index=True), "gain")
    assert last == "1 of 2 blocks may not be set beside the paper's range."


def test_the_grids_have_a_row_per_version(tmp_path: Path) -> None:
    claims(tmp_path, FASTEST, CLUSTERED, width=0.125)
    parts = section.section(Sources("study", tmp_path, tmp_path / "runs.parquet", [], [])).parts
    means, versions = parts[-2:]
    assert means.rows[0][1:] == [
        "mean",
        "+17.3 (5.9 to 28.8)",
        "3",
        "not comparable",
        "1.75 × (0.98 to 3.13)",
        "not comparable",
    ]
    assert [row[1] for row in versions.rows] == ["VGG-11", "VGG-13"]
    assert {len(row) for row in versions.rows} == {len(versions.columns)}
    assert "width 1/8" in means.notes[0]
