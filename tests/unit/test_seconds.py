"""Simulated seconds: targets that all reach, ratios paired by seed, dropped turns, curves against the clock."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flexifed import report
from flexifed.analysis import seconds, tables
from flexifed.analysis.collect import collect
from flexifed.figures import convergence_seconds
from flexifed.report import Sources
from flexifed.report import seconds as section
from flexifed.report.parts import Grid, Picture, Points
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Devices
from flexifed.training.history import TOGETHER
from tests.unit import results
from tests.unit.results import PROTOCOL, cut_off, write_cell

ROUNDS = 4
TIMED = replace(PROTOCOL, rounds=ROUNDS, devices=Devices())
"""By `write_cell` accuracies climb by ten points a round; each of two clients trains in each."""
BASE, FAST = 10.0, 4.0
"""Simulated seconds of a round."""


def cell(strategy: str, seed: int = 0) -> Cell:
    return Cell("cifar10", "vgg", strategy, "official", seed)


def write(folder: Path, cells: Mapping[Cell, tuple[float, float, int]]) -> Path:
    """Collected cells, each of its final accuracy (percent), seconds and dropped turns a round; `cells.parquet`."""
    folders = []
    for each, (accuracy, duration, lost) in cells.items():
        percent = {"V1": accuracy, "V2": accuracy}
        folders.append(write_cell(folder / "cells" / str(each), each, percent, rounds=ROUNDS))
        path = folders[-1] / "history.parquet"
        history = pq.read_table(path).to_pandas()
        trained = history[history["metric"] == "loss"].assign(phase="local", metric="train_loss")
        clock = [
            {"round": r, "client": TOGETHER, "version": "", "phase": "clock", "metric": name, "value": value}
            for r in range(1, ROUNDS + 1)
            for name, value in (("seconds", duration * r), ("dropped", float(lost)))
        ]
        whole = pd.concat([history, trained, pd.DataFrame(clock)])
        pq.write_table(pa.Table.from_pandas(whole, schema=pq.read_schema(path), preserve_index=False), path)
    collect(folders, folder / "cells.parquet", folder / "runs.parquet")
    return folder / "cells.parquet"


def study(folder: Path, cells: Mapping[Cell, tuple[float, float, int]], expected: Sequence[Cell] = ()) -> pd.DataFrame:
    """`seconds.csv` as it is read, by strategy."""
    path = write(folder, cells)
    seconds.write(path, folder, expected=[*cells, *expected], protocols={"official": TIMED})
    return tables.read(folder / "seconds.csv").set_index("strategy")


def two(seeds: int) -> dict[Cell, tuple[float, float, int]]:
    """FedAvg ends at 60 %, and its rounds take a second longer in each seed; Oort ends at 70 % in shorter rounds."""
    there = {cell("fedavg", seed): (60.0, BASE + seed, 2) for seed in range(seeds)}
    return there | {cell("oort", seed): (70.0, FAST, 0) for seed in range(seeds)}


def test_the_target_is_of_the_strategy_that_ends_lowest_and_reached_by_all(tmp_path: Path) -> None:
    """57 %: FedAvg (30, 40, 50, 60) is there in its last round, Oort (40, 50, 60, 70) in its third."""
    found = study(tmp_path, two(3))
    assert found["target"].tolist() == pytest.approx([57.0, 57.0])
    assert found["not_reached"].tolist() == [0, 0]
    assert found["seconds_to_target"].to_dict() == pytest.approx({"fedavg": 4 * 11.0, "oort": 12.0})
    assert found.loc["fedavg", "to_target_ci95_high"] == pytest.approx(44 + 4.30265 * 4 / 3**0.5, abs=1e-3)
    assert found["seconds_in_all"].to_dict() == pytest.approx({"fedavg": 44.0, "oort": 16.0})


def test_ratios_are_paired_by_seed_and_averaged_as_logarithms(tmp_path: Path) -> None:
    line = study(tmp_path, two(3)).loc["oort"]
    logs = np.log([4 * (BASE + seed) / 12 for seed in range(3)])
    half = 4.30265 * logs.std(ddof=1) / 3**0.5
    assert line["times_as_fast"] == pytest.approx(np.exp(logs.mean()), abs=1e-3)
    assert line["times_ci95_low"] == pytest.approx(np.exp(logs.mean() - half), abs=1e-3)
    assert (line["n_pairs"], line["verdict"]) == (3, "holds")


def test_the_base_is_compared_with_nobody_and_one_seed_is_no_verdict(tmp_path: Path) -> None:
    found = study(tmp_path, two(1))
    assert found["verdict"].to_dict() == {"fedavg": "", "oort": "one seed"}
    assert np.isnan(found.loc["fedavg", "times_as_fast"])


def test_dropped_is_a_share_of_all_invited_turns(tmp_path: Path) -> None:
    """Two clients are kept in each round; FedAvg loses two more."""
    assert study(tmp_path, two(1))["dropped"].to_dict() == pytest.approx({"fedavg": 0.5, "oort": 0.0})


def test_a_seed_that_stays_below_the_target_leaves_no_mean_and_no_ratio() -> None:
    """Possible where curves swing: the running mean need not come to where the last rounds were."""
    expected = [cell(name, seed) for name in ("fedavg", "oort") for seed in (0, 1)]
    lines = [{**vars(each), "target": 57.0, "to_target": 9.0, "in_all": 9.0, "dropped": 0.0} for each in expected]
    lines[3]["to_target"] = np.inf
    found = seconds.seconds(pd.DataFrame(lines), expected, {"official": TIMED}).set_index("strategy")
    assert found.loc["oort", ["not_reached", "n_pairs", "verdict"]].tolist() == [1, 0, "not reached"]
    assert found.loc["oort", ["seconds_to_target", "times_as_fast"]].isna().all()
    assert section.grid(found.reset_index()).rows[1][1] == "not reached in 1 of 2"


def test_missing_lines_have_no_number_and_lines_without_devices_no_row(tmp_path: Path) -> None:
    found = study(tmp_path, two(2), [cell("q_fedavg"), cell("oort", 2)])
    assert found.loc["q_fedavg", "n_seeds"] == 0
    assert np.isnan(found.loc["q_fedavg", "seconds_to_target"])
    assert found.loc["oort", "note"] == "missing seeds: 2"
    seeds = seconds.by_seed(tmp_path / "cells.parquet", [*two(2)], {"official": TIMED})
    assert seconds.seconds(seeds, [*two(2)], {"official": PROTOCOL}).empty


# The figure


def drawn(folder: Path, cells: Mapping[Cell, tuple[float, float, int]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and Table 1."""
    path = write(folder, cells)
    tables.write(path, folder / "runs.parquet", folder, expected=list(cells), protocols={"official": TIMED})
    return seconds.curves(path), tables.read(folder / "table1.csv")


def test_a_line_is_a_mean_at_common_moments_up_to_the_shortest_run(tmp_path: Path) -> None:
    """Of FedAvg's seeds, with rounds of 10 and 20 seconds: from 20 (40 and 30 %) to 40 seconds (60 and 40 %)."""
    curves, table = drawn(tmp_path, {cell("fedavg"): (60.0, 10.0, 0), cell("fedavg", 1): (60.0, 20.0, 0)})
    figure = convergence_seconds.draw(curves, table)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["VGG-11", "VGG-13"]
    line = figure.axes[0].lines[0]
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert (x[0], x[-1], y[0], y[-1]) == pytest.approx((20.0, 40.0, 35.0, 50.0))
    assert np.interp(30.0, x, y) == pytest.approx((50.0 + 35.0) / 2, abs=1e-3)
    assert "simulated time [seconds]" in figure.get_supxlabel()
    assert cut_off(figure) == []


def test_long_runs_are_in_hours_and_missing_strategies_are_named(tmp_path: Path) -> None:
    curves, table = drawn(tmp_path, {cell("fedavg"): (60.0, 3600.0, 0), cell("oort"): (60.0, 3600.0, 0)})
    table.loc[table["strategy"] == "oort", "n_seeds"] = 0
    figure = convergence_seconds.draw(curves[curves["strategy"] == "fedavg"], table)
    assert "[hours]" in figure.get_supxlabel()
    assert np.asarray(figure.axes[0].lines[0].get_xdata())[[0, -1]].tolist() == pytest.approx([1.0, 4.0])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["FedAvg", "Oort (missing)"]


def test_seeds_that_share_no_moment_are_read_where_the_first_one_ends() -> None:
    """With one test each, at 5 and at 9 seconds."""
    lines = pd.DataFrame({"seed": [0, 1], "seconds": [5.0, 9.0], "value": [40.0, 60.0]})
    found = convergence_seconds.on_common_seconds(lines)
    assert (found.index.tolist(), found.loc[5.0].tolist()) == ([5.0], [40.0, 60.0])


def test_without_a_run_the_figure_says_so(tmp_path: Path) -> None:
    curves, table = drawn(tmp_path, two(1))
    figure = convergence_seconds.draw(curves.iloc[:0], table.assign(n_seeds=0))
    assert "missing: no run of this block is there" in figure.get_supxlabel()


# In the report


def test_the_report_says_who_is_faster(tmp_path: Path) -> None:
    there = two(3)
    study(tmp_path, there)
    results.write_tables(tmp_path, list(there), {"official": TIMED}, tmp_path)
    stem = tmp_path / "convergence_seconds.cifar10.vgg.official"
    names = {"dataset": "cifar10", "family": "vgg", "protocol": "official"}
    convergence_seconds.write(tmp_path / "cells.parquet", tmp_path / "table1.csv", stem, **names)
    figures = [stem.with_name(f"{stem.name}.png")]
    sources = Sources("s", tmp_path, tmp_path / "runs.parquet", figures, list(there), has_clock=True)
    told, grid, picture = section.section(sources).parts
    assert isinstance(told, Points) and isinstance(grid, Grid) and isinstance(picture, Picture)
    assert told.items == ["Faster, with the 95 % interval above 1: Oort, 3.66 times as fast (2.92 to 4.59)."]
    assert grid.rows[0] == ["FedAvg", "44 ± 9.94", "–", "44", "50.0 %", "3"]
    assert grid.rows[1][1:] == ["12 ± 0", "3.66 times as fast (2.92 to 4.59)", "16", "0.0 %", "3"]
    assert picture.caption == "CIFAR-10, VGG, protocol official"
    report.render(sources, tmp_path / "report.html")
    assert "Time on devices" in (tmp_path / "report.html").read_text()


def test_without_devices_there_is_no_section() -> None:
    assert section.section(Sources("s", Path(), Path(), [], [])).parts == []
