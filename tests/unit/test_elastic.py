"""What clients with budgets save beside the largest version everywhere."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from flexifed.analysis import elastic, tables
from flexifed.analysis.collect import collect
from flexifed.report import Sources
from flexifed.report import elastic as section
from flexifed.report.parts import Grid
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Budgets, Protocol
from tests.unit.results import PROTOCOL, write_cell

TIERS = replace(PROTOCOL, rounds=4, versions=("V1", "V2"), budgets=Budgets(levels=(0.5, 1.0)))
LARGEST = replace(PROTOCOL, rounds=4, versions=("V4",))
PROTOCOLS: dict[str, Protocol] = {"other": replace(LARGEST, local_epochs=99), "largest": LARGEST, "tiers": TIERS}


def study(folder: Path, elf: float, seeds: int = 3) -> pd.DataFrame:
    """`elastic.csv` of eLF, which ends at this accuracy, beside FedAvg with the largest version, which ends at 60 %."""
    cells = {}
    for seed in range(seeds):
        cells[Cell("cifar10", "vgg", "elf", "tiers", seed)] = {"V1": elf, "V2": elf}
        cells[Cell("cifar10", "vgg", "fedavg", "largest", seed)] = {"V4": 60.0}
    folders = [write_cell(folder / "cells" / str(cell), cell, each, rounds=4) for cell, each in cells.items()]
    collect(folders, folder / "cells.parquet", folder / "runs.parquet")
    elastic.write(folder / "cells.parquet", folder / "runs.parquet", folder, expected=[*cells], protocols=PROTOCOLS)
    return tables.read(folder / "elastic.csv")


def test_the_base_differs_in_versions_and_budgets_alone() -> None:
    assert elastic.base_of(TIERS, "vgg", PROTOCOLS) == "largest"
    assert elastic.base_of(replace(TIERS, rounds=5), "vgg", PROTOCOLS) is None


def test_rounds_to_a_target_that_both_reach(tmp_path: Path) -> None:
    """57 %: the base (30, 40, 50, 60) is there in its fourth round, eLF (40, 50, 60, 70) in its third."""
    (line,) = study(tmp_path, 70.0).to_dict("records")
    assert (line["strategy"], line["base"], line["n_seeds"], line["n_pairs"]) == ("elf", "largest", 3, 3)
    assert line["final"] == pytest.approx(70.0) and line["less_base"] == pytest.approx(10.0)
    assert line["fewer_rounds"] == pytest.approx(4 / 3, abs=1e-4)
    assert line["fewer_bytes"] == pytest.approx(line["less_data_a_round"] * 4 / 3, abs=1e-3)
    assert pd.isna(line["times_as_fast"]), "no devices, no seconds"


def test_without_the_base_nothing_is_compared(tmp_path: Path) -> None:
    cell = Cell("cifar10", "vgg", "elf", "tiers", 0)
    folder = write_cell(tmp_path / "cell", cell, {"V1": 50.0, "V2": 60.0}, rounds=4)
    collect([folder], tmp_path / "cells.parquet", tmp_path / "runs.parquet")
    files = tmp_path / "cells.parquet", tmp_path / "runs.parquet"
    elastic.write(*files, tmp_path, expected=[cell], protocols={"tiers": TIERS})
    (line,) = tables.read(tmp_path / "elastic.csv").to_dict("records")
    assert line["final"] == pytest.approx(55.0) and line["n_pairs"] == 0


def test_the_report_has_a_grid(tmp_path: Path) -> None:
    study(tmp_path, 70.0)
    sources = Sources("s", tmp_path, tmp_path / "runs.parquet", [], [], has_budgets=True)
    (grid,) = section.section(sources).parts
    assert isinstance(grid, Grid)
    assert grid.rows[0][:3] == ["eLF", "70.0 ± 0.0", "+10.0 (+10.0 to +10.0)"]
    assert grid.rows[0][4] == "1.33 (1.33 to 1.33)"
    assert section.section(Sources("s", tmp_path, tmp_path, [], [])).parts == []


def test_where_a_line_learns_nothing_there_are_no_ratios(tmp_path: Path) -> None:
    """eLF (-20, -10, 0, 10) climbs, and is compared; a curve that ends where it began sets no target."""
    (line,) = study(tmp_path, 10.0).to_dict("records")
    assert line["not_reached"] == 0 and line["fewer_rounds"] == pytest.approx(1 / 4, abs=1e-4)
    climbs, flat = pd.Series({5: 30.0, 10: 60.0}), pd.Series({5: 7.5, 10: 7.9})
    pair = {"curve": flat, "end": 7.9, "curve_base": climbs, "end_base": 60.0}
    assert not elastic._learns(pd.Series(pair))
    assert elastic._learns(pd.Series(pair | {"curve": climbs, "end": 60.0}))
