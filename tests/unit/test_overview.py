"""The overview: a panel per block, the mean over versions, and what is missing called so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from flexifed.analysis import tables
from flexifed.analysis.collect import read_curves
from flexifed.analysis.titles import STRATEGIES
from flexifed.figures import loss, overview, style
from flexifed.settings import layout
from flexifed.settings.cell import Cell
from tests.unit.results import PROTOCOL, cut_off, write_study


def cell(dataset: str, strategy: str, seed: int) -> Cell:
    return Cell(dataset, "vgg", strategy, "official", seed)


def study(folder: Path, expected: list[Cell], there: list[Cell]) -> Figure:
    """Every seed reaches 60 plus its number with V1's two clients on average, and 70 with V2's one."""
    accuracy = {c: {"V1": (50.0 + c.seed, 70.0 + c.seed), "V2": 70.0} for c in there}
    cells, runs = write_study(folder, accuracy)
    tables.write(cells, runs, folder / "tables", expected=expected, protocols={"official": PROTOCOL})
    curves = read_curves(cells, phase="aggregated", metric="accuracy")
    return overview.draw(curves, tables.read(folder / "tables/table1.csv"))


def drawn(figure: Figure, panel: int) -> list[list[float]]:
    return [list(np.asarray(line.get_ydata())) for line in figure.axes[panel].lines]


def test_a_panel_per_block_and_a_line_per_strategy_of_means_over_versions(tmp_path: Path) -> None:
    cells = [
        cell(d, s, seed) for d in ("cifar10", "cinic10") for s in ("standalone", "max_common") for seed in range(3)
    ]
    figure = study(tmp_path, cells, cells)
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["CIFAR-10, VGG, protocol official", "CINIC-10, VGG, protocol official"]
    for panel in range(2):
        assert drawn(figure, panel) == [pytest.approx([55.5, 65.5])] * 2  # of 60, 61, 62 and 70; ten less before
    assert "line: mean over the versions and 3 seeds; band: 95 %" in figure.get_supxlabel()
    band = next(drawn for drawn in figure.axes[0].collections if isinstance(drawn, PolyCollection))
    heights = band.get_paths()[0].vertices[:, 1]
    half = 4.3027 * 0.5 / 3**0.5  # seeds 65, 65.5 and 66
    assert heights.max() == pytest.approx(65.5 + half, abs=1e-3)


def test_what_is_missing_is_called_so(tmp_path: Path) -> None:
    """Max-Common has no run at all, Basic-Common none of CIFAR-10, and CINIC-10 has none."""
    strategies = ("standalone", "basic_common", "max_common")
    cells = [cell(d, s, 0) for d in ("cifar10", "cinic10", "digits") for s in strategies]
    there = [cell("cifar10", "standalone", 0), cell("digits", "standalone", 0), cell("digits", "basic_common", 0)]
    figure = study(tmp_path, cells, there)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["Standalone", "Basic-Common", "Max-Common (missing)"]
    said = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert said == [["missing: Basic-Common, Max-Common"], ["missing: no run is there"], ["missing: Max-Common"]]
    assert [len(panel.lines) for panel in figure.axes] == [1, 0, 2]


def test_blocks_of_different_seeds_say_so(tmp_path: Path) -> None:
    cells = [cell("cifar10", "standalone", 0), *(cell("cinic10", "standalone", seed) for seed in range(3))]
    figure = study(tmp_path, cells, cells)
    assert "1 to 3 seeds" in figure.get_supxlabel() and "none of one" in figure.get_supxlabel()
    bands = [sum(isinstance(d, PolyCollection) for d in panel.collections) for panel in figure.axes]
    assert bands == [0, 1]


def test_strategies_of_different_seeds_have_bands_of_their_own(tmp_path: Path) -> None:
    """Max-Common with one seed of three does not take the band from Standalone."""
    there = [*(cell("cifar10", "standalone", seed) for seed in range(3)), cell("cifar10", "max_common", 0)]
    figure = study(tmp_path, [*there, cell("cifar10", "max_common", 1)], there)
    assert "1 to 3 seeds" in " ".join(figure.get_supxlabel().split())
    (band,) = [drawn for drawn in figure.axes[0].collections if isinstance(drawn, PolyCollection)]
    assert to_hex(band.get_facecolor()[0]) == style.STRATEGY_COLOURS["standalone"].lower()


def test_legend_and_captions_of_one_panel_are_not_cut_off(tmp_path: Path) -> None:
    strategies = [*STRATEGIES, "another_strategy_of_mine"]
    there = [cell("cifar10", s, seed) for s in strategies for seed in range(3 if s == "standalone" else 1)]
    figure = study(tmp_path, [*there, cell("cifar10", "yet_another_strategy", 0)], there)
    assert len(figure.legends[0].get_texts()) == len(STRATEGIES) + 2
    assert cut_off(figure) == []


def test_a_study_without_a_run_is_drawn_as_missing(tmp_path: Path) -> None:
    cells, runs = write_study(tmp_path, {})
    tables.write(cells, runs, tmp_path, expected=[cell("cifar10", "standalone", 0)], protocols={"official": PROTOCOL})
    overview.write(cells, tmp_path / "table1.csv", tmp_path / "overview")
    figure = overview.draw(pd.DataFrame(read_curves(cells)), tables.read(tmp_path / "table1.csv"))
    assert figure.get_supxlabel().endswith("missing: no run of this study is there")
    assert (tmp_path / "overview.svg").exists()


def test_studies_of_many_blocks_have_no_overview() -> None:
    one = cell("cifar10", "standalone", 0)
    blocks = [replace(one, protocol=str(number)) for number in range(layout.OVERVIEW_PANELS)]
    assert layout.has_overview([*blocks, *(replace(block, seed=1) for block in blocks)])
    assert not layout.has_overview([*blocks, one])


def test_the_training_loss_is_drawn_as_it_is_and_not_in_percent(tmp_path: Path) -> None:
    there = [cell("cifar10", "standalone", seed) for seed in range(3)]
    study(tmp_path, there, there)
    cells = tmp_path / "cells.parquet"
    of_accuracy = pd.read_parquet(cells)
    of_loss = of_accuracy[of_accuracy["metric"] == "accuracy"].assign(phase="local", metric="train_loss", value=1.75)
    of_loss.to_parquet(cells)
    loss.write(cells, tmp_path / "tables/table1.csv", tmp_path / "loss")
    drawn = overview.draw(of_loss, tables.read(tmp_path / "tables/table1.csv"), quantity="training loss", unit=1.0)
    (line,) = [one for one in drawn.axes[0].lines if len(one.get_ydata()) > 1]
    assert set(line.get_ydata()) == {1.75}
    assert drawn.get_supylabel() == "training loss, mean over versions"
    assert (tmp_path / "loss.svg").stat().st_size > 1000
