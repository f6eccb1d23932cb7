"""Costs: bytes of the plan at full width, sums by hand, and no seconds or rounds that nobody has measured."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from flexifed import models
from flexifed.analysis import costs, speed, tables
from flexifed.analysis.collect import read_runs
from flexifed.figures import costs as costs_figure
from flexifed.report import Sources
from flexifed.report import costs as section
from flexifed.settings.cell import Cell
from flexifed.settings.rng import torch_stream
from flexifed.sharing import planning
from flexifed.sharing.layers import chain
from flexifed.training import parts
from tests.unit.results import PROTOCOL, cut_off, write_study

LONGER = replace(PROTOCOL, rounds=4)
STRATEGIES = ("standalone", "clustered_fl", "basic_common", "max_common")
ACCURACY = {"standalone": 50.0, "clustered_fl": 60.0, "basic_common": 58.0, "max_common": 80.0}
"""By `write_cell` all climb by 10 points a round; the target is 57."""
BYTES = {"standalone": (0, 0), "clustered_fl": (1_000_000, 3_000_000), "basic_common": (8_000, 8_000)}
BYTES["max_common"] = BYTES["clustered_fl"]


def study(folder: Path, *, seeds: int = 2, absent: str = "", devices: tuple[str, ...] = ("a device",)) -> pd.DataFrame:
    """`costs` of a block whose versions send `BYTES`; runs of 36 seconds, on the devices in turn."""
    expected = [Cell("cifar10", "vgg", s, "official", seed) for s in STRATEGIES for seed in range(seeds)]
    accuracy = {c: dict.fromkeys(("V1", "V2"), ACCURACY[c.strategy]) for c in expected if c.strategy != absent}
    cells, runs = write_study(folder, accuracy, rounds=4)
    protocols = {"official": LONGER}
    tables.write(cells, runs, folder, expected=expected, protocols=protocols)
    records = read_runs(runs)
    sent = [
        json.dumps([{"client": i, "version": f"V{i + 1}", "up": n, "down": 2 * n} for i, n in enumerate(BYTES[name])])
        for name in records["strategy"]
    ]
    records = records.assign(bytes_by_client=sent, rounds=4, device=np.resize(devices, len(records)))
    return costs.costs(speed.by_seed(cells, expected, protocols), records, tables.read(folder / "table1.csv"))


def line(table: pd.DataFrame, strategy: str) -> pd.Series:
    (index,) = table.index[table["strategy"] == strategy]
    return table.loc[index]


def test_costs_by_hand(tmp_path: Path) -> None:
    """Clients send 1 and 3 MB and receive twice as much: 6 MB a round; the target is reached in rounds 4 and 2."""
    table = study(tmp_path)
    clustered, ours = line(table, "clustered_fl"), line(table, "max_common")
    assert clustered[["mb_up", "mb_up_low", "mb_up_high"]].tolist() == [2.0, 1.0, 3.0]
    assert clustered[["mb_down", "mb_down_low", "mb_down_high"]].tolist() == [4.0, 2.0, 6.0]
    assert (clustered["rounds"], clustered["mb_in_all"], clustered["target"]) == pytest.approx((4, 24.0, 57.0))
    assert (clustered["rounds_to_target"], clustered["mb_to_target"]) == pytest.approx((4, 24.0))
    assert (ours["rounds_to_target"], ours["mb_to_target"]) == pytest.approx((2, 12.0))
    assert (ours["seconds_per_round"], ours["seconds_to_target"]) == pytest.approx((9.0, 18.0))
    assert (ours["n_seeds"], ours["accuracy"]) == (2, pytest.approx(80.0))


def test_standalone_sends_nothing_and_never_arrives(tmp_path: Path) -> None:
    alone = line(study(tmp_path), "standalone")
    assert alone[["mb_up", "mb_down", "mb_up_low", "mb_up_high", "mb_in_all"]].tolist() == [0.0] * 5
    assert (alone["n_target"], alone["not_reached"]) == (2, 2)
    assert alone[["rounds_to_target", "mb_to_target", "seconds_to_target"]].isna().all()


def test_runs_of_several_devices_have_no_seconds(tmp_path: Path) -> None:
    table = study(tmp_path, devices=("a device", "a device; another"))
    assert table[["seconds_per_round", "seconds_to_target"]].isna().all(axis=None)
    assert set(table["device"]) == {"a device; another"}
    assert line(table, "max_common")["mb_to_target"] == pytest.approx(12.0)


def test_a_missing_strategy_has_no_number(tmp_path: Path) -> None:
    absent = line(study(tmp_path, absent="max_common"), "max_common")
    assert (absent["n_seeds"], absent["device"], absent["note"]) == (0, "missing", "missing")
    assert absent[["accuracy", "mb_up", "mb_down", "mb_in_all", "rounds", "rounds_to_target"]].isna().all()


def test_without_clustered_fl_there_is_no_target(tmp_path: Path) -> None:
    table = study(tmp_path, absent="clustered_fl")
    assert table[["target", "rounds_to_target", "mb_to_target"]].isna().all(axis=None)
    assert set(table["n_target"]) == set(table["not_reached"]) == {0}
    assert line(table, "max_common")["mb_in_all"] == pytest.approx(24.0)


def test_a_basic_common_round_of_full_width_vgg_is_8_kilobytes_and_a_clustered_one_112_to_156_megabytes() -> None:
    """Values counted by hand from the definitions of VGG-11 and VGG-19, in float32."""
    versions = ("V1", "V1", "V4", "V4")
    fleet = {v: models.build("vgg", v, (3, 32, 32), 10, {}, torch_stream(0, "sizes")) for v in dict.fromkeys(versions)}
    chains = [chain(fleet[v]) for v in versions]
    states = [fleet[v].state_dict() for v in versions]

    def megabytes(strategy: str) -> dict[str, float]:
        plan = planning.make("vgg", strategy, versions, chains, "same_architecture")
        sent = parts.bytes_per_round(plan, chains, states)
        clients = [{"version": v, "up": n, "down": n} for v, n in zip(versions, sent, strict=True)]
        return costs.traffic(pd.Series([json.dumps(clients)]))

    smallest, largest = (4 * n / 1e6 for n in (28_149_514 + 5_504, 38_958_922 + 11_008))
    for strategy in ("clustered_fl", "clustered_common", "max_common"):
        found = megabytes(strategy)
        assert (found["mb_up_low"], found["mb_up_high"]) == pytest.approx((smallest, largest))
        assert found["mb_down"] == found["mb_up"] == pytest.approx((smallest + largest) / 2)
    assert smallest > 110
    assert megabytes("basic_common")["mb_up"] == megabytes("basic_common")["mb_up_high"] == 4 * 2_048 / 1e6
    assert set(megabytes("standalone").values()) == {0.0}


def test_no_record_is_no_number() -> None:
    assert all(map(math.isnan, costs.traffic(pd.Series(dtype=str)).values()))


# The figure


def draw(folder: Path, table: pd.DataFrame) -> Figure:
    return costs_figure.draw(speed.curves(folder / "cells.parquet"), table)


def test_the_figure_has_accuracy_against_bytes_and_standalone_across(tmp_path: Path) -> None:
    (panel,) = draw(tmp_path, study(tmp_path)).axes
    assert panel.get_xscale() == "log"
    curves = [drawn for drawn in panel.lines if len(drawn.get_xdata()) == 4]
    assert [list(np.asarray(drawn.get_xdata())) for drawn in curves] == [
        pytest.approx([6 * r for r in (1, 2, 3, 4)]),
        pytest.approx([0.024 * r for r in (1, 2, 3, 4)]),
        pytest.approx([6 * r for r in (1, 2, 3, 4)]),
    ]
    assert np.asarray(curves[2].get_ydata()) == pytest.approx([50.0, 60.0, 70.0, 80.0])
    across = [drawn for drawn in panel.lines if len(drawn.get_xdata()) == 2]
    assert [(drawn.get_ydata()[0], drawn.get_linestyle()) for drawn in across] == [
        (pytest.approx(50.0), "--"),
        (pytest.approx(57.0), ":"),
    ]
    assert not panel.texts


def test_legend_and_title_of_one_panel_are_not_cut_off(tmp_path: Path) -> None:
    long = "of_" * 20 + "the paper"
    table = study(tmp_path, seeds=1).assign(protocol=long)
    figure = costs_figure.draw(speed.curves(tmp_path / "cells.parquet").assign(protocol=long), table)
    assert cut_off(figure) == []


def test_a_missing_strategy_is_named_and_not_drawn(tmp_path: Path) -> None:
    (panel,) = draw(tmp_path, study(tmp_path, absent="basic_common", seeds=1)).axes
    assert [text.get_text() for text in panel.texts] == ["missing: Basic-Common"]
    assert len([drawn for drawn in panel.lines if len(drawn.get_xdata()) == 4]) == 2


@pytest.mark.parametrize(("absent", "there"), [("", True), ("clustered_fl", False)])
def test_the_legend_has_a_target_where_there_is_one(tmp_path: Path, absent: str, there: bool) -> None:
    (legend,) = draw(tmp_path, study(tmp_path, absent=absent)).legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert ("target: 95 % of Clustered-FL's final number" in labels) == there
    assert len(labels) == len(STRATEGIES) + there


def test_an_axis_of_few_megabytes_has_plain_labels_that_are_apart(tmp_path: Path) -> None:
    table = study(tmp_path)
    (panel,) = draw(tmp_path, table[table["strategy"] != "basic_common"]).axes
    low, high = panel.get_xlim()
    shown = [label.get_text() for label in panel.get_xticklabels() if low <= label.get_position()[0] <= high]
    assert shown == ["10", "20"]
    assert not any(label.get_text() for label in panel.get_xticklabels(minor=True))


def test_the_figure_is_the_same_each_time_and_drawn_without_a_run(tmp_path: Path) -> None:
    cells, runs = write_study(tmp_path, {})
    expected = [Cell("cifar10", "vgg", name, "official", 0) for name in STRATEGIES]
    protocols = {"official": PROTOCOL}
    tables.write(cells, runs, tmp_path, expected=expected, protocols=protocols)
    costs.write(cells, runs, tmp_path / "table1.csv", tmp_path, expected=expected, protocols=protocols)
    (panel,) = draw(tmp_path, tables.read(tmp_path / "costs.csv")).axes
    assert [text.get_text() for text in panel.texts] == ["missing: no run of this block is there"]
    assert not panel.lines
    for name in ("one", "two"):
        costs_figure.write(cells, tmp_path / "costs.csv", tmp_path / name)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert b"Date" not in (tmp_path / "one.svg").read_bytes()


# In the report


def test_the_reports_grid_says_what_was_not_reached_and_what_is_missing(tmp_path: Path) -> None:
    study(tmp_path, absent="basic_common").to_csv(tmp_path / "costs.csv", index=False)
    (grid,) = section.section(Sources("study", tmp_path, tmp_path / "runs.parquet", [], [])).parts
    assert grid.rows[0] == ["Standalone", "50.0", "0", "0", "0", "0", "not reached in 2 of 2", "–", "–"]
    assert grid.rows[1] == ["Clustered-FL", "60.0", "2", "1 to 3", "4", "24", "4", "24", "36"]
    assert grid.rows[2] == ["Basic-Common", "missing", *["–"] * 7]
    assert list(grid.notes[:2]) == ["Device: a device", "Target: 57.0 % (mean over seeds)"]


def test_the_target_is_that_of_the_yardstick(tmp_path: Path) -> None:
    """Strategies with other seeds have other targets."""
    table = study(tmp_path)
    table.loc[table["strategy"] == "max_common", "target"] = 0.0
    assert "Target: 57.0 % (mean over seeds)" in section.grid(("cifar10", "vgg", "official"), table).notes
    (panel,) = draw(tmp_path, table).axes
    assert [drawn.get_ydata()[0] for drawn in panel.lines if drawn.get_linestyle() == ":"] == [pytest.approx(57.0)]


@pytest.mark.parametrize(("there", "words"), [(True, "is missing"), (False, "is not in this study")])
def test_why_there_is_no_target(tmp_path: Path, there: bool, words: str) -> None:
    table = study(tmp_path, absent="clustered_fl")
    table = table if there else table[table["strategy"] != "clustered_fl"]
    assert f"No target: Clustered-FL {words}" in section.grid(("cifar10", "vgg", "official"), table).notes


@pytest.mark.parametrize(
    ("value", "text"), [(112.62, "113"), (56_535.2, "56,535"), (2.0482, "2.05"), (0.008192, "0.00819"), (0.0, "0")]
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert section.amount(value) == text
