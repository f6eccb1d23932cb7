"""Sweeps: final numbers along a quantity and the gain between its ends, by hand, and never a number without runs."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from flexifed import report
from flexifed.analysis import sweep, tables
from flexifed.figures import sweep as sweep_figure
from flexifed.report import sweep as section
from flexifed.settings.cell import Cell
from tests.unit.results import PROTOCOL, Accuracy, cut_off, write_study, write_tables

PROTOCOLS = {"many": PROTOCOL, "one": replace(PROTOCOL, versions=("V1",)), "few": PROTOCOL}
CLIENTS = {"many": 40, "few": 24}
VERSIONS = {"many": 2, "one": 1}
FEW, MANY = [60.0, 70.0, 65.0], [62.0, 71.5, 67.5]


def cell(protocol: str, seed: int, strategy: str = "max_common") -> Cell:
    return Cell("cifar10", "vgg", strategy, protocol, seed)


def study(
    folder: Path, accuracy: dict[Cell, Accuracy], values: dict[str, int], expected: list[Cell] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`sweep.csv` and `sweep_gains.csv`."""
    cells, _ = write_study(folder, accuracy)
    cells_of = expected or list(accuracy)
    write_tables(folder, cells_of, {cell.protocol: PROTOCOLS[cell.protocol] for cell in cells_of}, folder)
    sweep.write(cells, folder, expected=cells_of, protocols=PROTOCOLS, over="number of things", values=values)
    return tables.read(folder / "sweep.csv"), tables.read(folder / "sweep_gains.csv")


def clients(strategy: str = "max_common", many: list[float] = MANY) -> dict[Cell, Accuracy]:
    """Three seeds that differ by up to ten points; from few to many they gain 2.0, 1.5 and 2.5."""
    return {
        cell(name, seed, strategy): {"V1": value - 1, "V2": value + 1}
        for name, values in (("many", many), ("few", FEW))
        for seed, value in enumerate(values)
        if not math.isnan(value)
    }


def test_levels_go_from_low_to_high_whatever_the_order_of_the_study(tmp_path: Path) -> None:
    levels, _ = study(tmp_path, clients(), CLIENTS)
    assert list(levels["level"]) == [24, 40]
    assert list(levels["protocol"]) == ["few", "many"]
    assert list(levels["mean"]) == pytest.approx([65.0, 67.0])
    interval = stats.t.interval(0.95, 2, np.mean(FEW), stats.sem(FEW))
    assert tuple(levels.loc[0, ["ci95_low", "ci95_high"]]) == pytest.approx(interval, abs=1e-4)
    assert set(levels["over"]) == {"number of things"}


def test_the_gain_is_paired_by_seed_and_its_interval_scipys(tmp_path: Path) -> None:
    _, gains = study(tmp_path, clients(), CLIENTS)
    (row,) = gains.to_dict("records")
    interval = stats.ttest_rel(MANY, FEW).confidence_interval(0.95)
    assert (row["lowest"], row["highest"], row["of"], row["n_seeds"]) == (24, 40, "mean", 3)
    assert row["difference"] == pytest.approx(2.0)
    assert (row["ci95_low"], row["ci95_high"]) == pytest.approx((interval.low, interval.high), abs=1e-4)
    assert row["verdict"] == "holds"


def one_and_two_versions() -> dict[Cell, Accuracy]:
    """Two versions lower the mean by 9 points, because the second version is worse; the first gains 1."""
    found: dict[Cell, Accuracy] = {}
    for seed, value in enumerate(FEW):
        found[cell("one", seed)] = {"V1": value}
        found[cell("many", seed)] = {"V1": value + 1 + seed / 100, "V2": value - 19}
        found[cell("many", seed, "clustered_fl")] = {"V1": value, "V2": value}
    return found


def test_where_the_versions_differ_those_that_both_ends_have_are_compared_too(tmp_path: Path) -> None:
    levels, gains = study(tmp_path, one_and_two_versions(), VERSIONS)
    assert list(levels["strategy"]) == ["clustered_fl", "max_common", "max_common"]
    assert list(levels["versions"]) == ["V1 V2", "V1", "V1 V2"]
    assert list(gains["of"]) == ["mean", "V1"]
    assert list(gains["difference"]) == pytest.approx([-9.0, 1.01], abs=0.01)
    assert list(gains["verdict"]) == ["contradicted", "holds"]


def test_what_the_study_does_not_have_is_told_and_not_called_missing(tmp_path: Path) -> None:
    levels, gains = study(tmp_path, one_and_two_versions(), VERSIONS)
    assert sweep.remarks(levels) == [
        "At 1 there is Max-Common alone: with one version, all strategies that average are the same federation.",
        "Means are over the versions that are there: at 1 over V1, at 2 over V1 V2.",
    ]
    assert set(gains["strategy"]) == {"max_common"}  # Clustered-FL is at one value only
    (panel,) = sweep_figure.draw(levels).axes
    assert not panel.texts
    (grid,) = section.grids(levels, tables.read(tmp_path / "table1.csv"))
    assert grid.rows[0][:2] == ["Clustered-FL", "–"]


def test_one_seed_claims_nothing_and_no_seed_has_no_number(tmp_path: Path) -> None:
    expected = list(clients())
    there = {c: accuracy for c, accuracy in clients().items() if (c.protocol, c.seed) in (("few", 0), ("many", 0))}
    levels, gains = study(tmp_path / "one", there, CLIENTS, expected)
    assert list(gains["verdict"]) == ["one seed"]
    assert gains[["ci95_low", "ci95_high"]].isna().all(axis=None)
    assert set(levels["note"]) == {"missing seeds: 1, 2"}
    assert section.claims(gains) == [
        "Not resolved, one seed cannot be distinguished from chance: Max-Common, 24 to 40: +2.0.",
    ]
    levels, gains = study(tmp_path / "none", {}, CLIENTS, expected)
    assert list(levels["n_seeds"]) == [0, 0]
    assert levels[["mean", "ci95_low", "ci95_high"]].isna().all(axis=None)
    assert section.claims(gains) == ["Missing: Max-Common, 24 to 40."]


def test_verdicts_in_words(tmp_path: Path) -> None:
    accuracy = clients() | clients("basic_common", [58.0, 68.5, 62.5]) | clients("clustered_fl", [61.0, 69.0, 66.0])
    _, gains = study(tmp_path, accuracy, CLIENTS)
    better, worse, unresolved = section.claims(gains)
    assert better == (
        "More is better, with the 95 % interval of the difference above zero: Max-Common, 24 to 40: +2.0 (0.8 to 3.2)."
    )
    assert worse.startswith("Fewer is better") and "Basic-Common, 24 to 40: -2.0 (-3.2 to -0.8)" in worse
    assert "Clustered-FL, 24 to 40: +0.3" in unresolved


# The figure


def points(figure: Figure) -> dict[float, list[float]]:
    """Heights by the whole value next to which they stand."""
    found: dict[float, list[float]] = {}
    for line in figure.axes[0].lines:
        for x, y in zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True):
            found.setdefault(round(float(x)), []).append(round(float(y), 1))
    return found


def test_the_figure_has_a_line_per_strategy_over_the_values_it_has(tmp_path: Path) -> None:
    levels, _ = study(tmp_path, one_and_two_versions(), VERSIONS)
    figure = sweep_figure.draw(levels)
    assert points(figure) == {1: [65.0], 2: [65.0, 56.0]}
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["1", "2"]
    assert "95 % Student t interval over 3 seeds" in figure.get_supxlabel()
    assert "Max-Common alone" in figure.get_supxlabel()
    bars = [path for drawn in figure.axes[0].collections for path in drawn.get_paths()]
    assert len(bars) == 3


def test_one_strategy_stands_at_its_values(tmp_path: Path) -> None:
    levels, _ = study(tmp_path, clients(), CLIENTS)
    (line,) = sweep_figure.draw(levels).axes[0].lines
    assert list(np.asarray(line.get_xdata())) == [24, 40]


def test_the_remarks_fit_below_one_panel(tmp_path: Path) -> None:
    levels, _ = study(tmp_path, one_and_two_versions(), VERSIONS)
    assert cut_off(sweep_figure.draw(levels)) == []


def test_what_was_not_run_is_named_in_the_figure(tmp_path: Path) -> None:
    accuracy = clients(many=[math.nan] * 3) | clients("basic_common")
    expected = [*clients(), *clients("basic_common")]
    levels, _ = study(tmp_path, accuracy, CLIENTS, expected)
    (panel,) = sweep_figure.draw(levels).axes
    assert [text.get_text() for text in panel.texts] == ["missing:\nMax-Common at 40"]
    nothing, _ = study(tmp_path / "nothing", {}, CLIENTS, expected)
    figure = sweep_figure.draw(nothing)
    assert "missing: no run of this study is there" in figure.get_supxlabel()
    assert figure.legends[0].get_texts()[0].get_text() == "Basic-Common (missing)"
    sweep_figure.write(tmp_path / "nothing/sweep.csv", tmp_path / "sweep")


# The report


def test_the_report_has_claims_a_figure_and_a_grid(tmp_path: Path) -> None:
    study(tmp_path, clients(), CLIENTS)
    sweep_figure.write(tmp_path / "sweep.csv", tmp_path / "sweep")
    figures = [tmp_path / "sweep.png"]
    sources = report.Sources("s", tmp_path, tmp_path / "runs.parquet", figures, list(clients()), has_sweep=True)
    report.render(sources, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.index("Final numbers by value") < page.index("The answer")
    for text in (
        "The claim that accuracy rises with the number of things: of ",
        "Over the number of things.",
        "Max-Common, 24 to 40: +2.0",
        ">67.0 ± ",
        "2 rounds (authors&#39; script",
    ):
        assert text in page
    assert page.count("<img") == 1


def test_a_study_without_a_strategy_at_two_values_gains_nothing(tmp_path: Path) -> None:
    both = clients() | clients("basic_common")
    there = {c: a for c, a in both.items() if (c.protocol == "many") == (c.strategy == "max_common")}
    _, gains = study(tmp_path, there, CLIENTS)
    assert gains.empty
    sources = report.Sources("s", tmp_path, tmp_path / "runs.parquet", [], list(there), has_sweep=True)
    report.render(sources, tmp_path / "report.html")
    assert "The claim that accuracy rises" not in (tmp_path / "report.html").read_text()


def test_notes_on_some_values_name_them(tmp_path: Path) -> None:
    there = {c: accuracy for c, accuracy in clients().items() if c != cell("many", 2)}
    levels, _ = study(tmp_path, there, CLIENTS, list(clients()))
    (grid,) = section.grids(levels, tables.read(tmp_path / "table1.csv"))
    assert grid.notes == ["2 rounds (authors' script: 502)", "At 40: missing seeds: 2"]
