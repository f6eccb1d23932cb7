"""When a curve reaches its target: made-up curves whose answers are known by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from flexifed.analysis import speed
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber, Protocol
from tests.unit.results import PROTOCOL, write_study

LONGER = replace(PROTOCOL, rounds=4)
"""Curves of `write_cell` climb by 10 points a round to their last."""


def cell(strategy: str, seed: int = 1) -> Cell:
    return Cell("cifar10", "vgg", strategy, "official", seed)


def by_seed(folder: Path, accuracy: dict[Cell, dict[str, float]], protocol: Protocol = LONGER) -> pd.DataFrame:
    cells, _ = write_study(folder, accuracy, rounds=4)
    return speed.by_seed(cells, list(accuracy), {"official": protocol})


def of(table: pd.DataFrame, strategy: str, version: str) -> tuple[float, float, float]:
    (line,) = table[(table["strategy"] == strategy) & (table["version"] == version)].to_dict("records")
    return line["final"], line["target"], line["rounds"]


@pytest.mark.parametrize(
    ("target", "window", "expected"),
    [
        (5.0, 1, 2),
        (20.0, 1, 6),
        (20.0, 4, 8),  # mean of 30 and 10
        (25.0, 4, 10),  # mean of 10 and 40
        (30.0, 1, 6),
        (41.0, 1, math.inf),
        (30.0, 4, math.inf),
        (18.0, 100, 10),  # mean of all five is 18
    ],
)
def test_the_first_round_whose_running_mean_is_at_the_target(target: float, window: int, expected: float) -> None:
    """Tested in every second round: a window of 4 rounds holds two tests, or one at the start."""
    curve = pd.Series([5.0, 5.0, 30.0, 10.0, 40.0], index=[2, 4, 6, 8, 10])
    assert speed.reached(curve, target, window) == expected


def test_targets_are_of_the_seed_and_version(tmp_path: Path) -> None:
    """Clustered-FL ends at 60 and 80: targets 57 and 76; Max-Common climbs 45, 55, 65, 75 and 66, 76, 86, 96."""
    table = by_seed(
        tmp_path, {cell("clustered_fl"): {"V1": 60.0, "V2": 80.0}, cell("max_common"): {"V1": 75.0, "V2": 96.0}}
    )
    assert of(table, "max_common", "V1") == pytest.approx((75.0, 57.0, 3))
    assert of(table, "max_common", "V2") == pytest.approx((96.0, 76.0, 2))
    assert of(table, "clustered_fl", "V1") == pytest.approx((60.0, 57.0, 4))
    # the mean over versions has a curve and a target of its own: 55.5, 65.5, 75.5, 85.5 and 66.5
    assert of(table, "max_common", "mean") == pytest.approx((85.5, 66.5, 3))


def test_never_and_at_once(tmp_path: Path) -> None:
    table = by_seed(
        tmp_path,
        {
            cell("clustered_fl"): {"V1": 60.0, "V2": 60.0},
            cell("standalone"): {"V1": 56.0, "V2": 56.0},
            cell("max_common"): {"V1": 90.0, "V2": 90.0},
        },
    )
    assert of(table, "standalone", "mean")[2] == math.inf
    assert of(table, "max_common", "mean")[2] == 1


def test_without_clustered_fl_of_the_seed_there_is_no_target(tmp_path: Path) -> None:
    there = {"V1": 60.0, "V2": 60.0}
    table = by_seed(
        tmp_path, {cell("clustered_fl", 1): there, cell("max_common", 1): there, cell("max_common", 2): there}
    )
    absent = table[table["seed"] == 2]
    assert len(absent) == 3
    assert absent[["target", "rounds"]].isna().all(axis=None)
    assert (table.loc[table["seed"] == 1, "rounds"] == 4).all()


def test_the_target_does_not_follow_the_rule_of_the_tables(tmp_path: Path) -> None:
    """Before aggregation, curves are 5 points lower: such a target would be reached too early."""
    local = replace(LONGER, final=FinalNumber(phase="local", rule="best"))
    table = by_seed(tmp_path, {cell("clustered_fl"): {"V1": 60.0, "V2": 60.0}}, local)
    assert of(table, "clustered_fl", "mean") == pytest.approx((60.0, 57.0, 4))


def test_a_study_without_a_run_has_no_rows(tmp_path: Path) -> None:
    cells, _ = write_study(tmp_path, {})
    assert speed.by_seed(cells, [cell("clustered_fl")], {"official": LONGER}).empty
    assert speed.curves(cells).empty
