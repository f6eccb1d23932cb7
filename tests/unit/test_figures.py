"""Figures: what is drawn is what the tables say, with the same bytes each time."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from flexifed.analysis import tables
from flexifed.analysis.collect import read_curves
from flexifed.analysis.titles import STRATEGIES, title
from flexifed.data.partition import ClientSamples
from flexifed.elastic import budgets as tables_of_budgets
from flexifed.figures import budgets, class_mix, convergence, final_numbers, overview, sharing, style
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Budgets, Protocol
from flexifed.sharing import plan, planning
from flexifed.sharing.regions import Member
from tests.unit.results import PROTOCOL, cut_off, write_study

VERSIONS = ("V1", "V1", "V2", "V2")


def study(
    folder: Path, strategies: tuple[str, ...], seeds: int, absent: str | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and Table 1 of a block, with one strategy absent."""
    expected = [Cell("cifar10", "vgg", s, "official", seed) for s in strategies for seed in range(seeds)]
    accuracy = {cell: {"V1": 60.0 + cell.seed, "V2": 70.0} for cell in expected if cell.strategy != absent}
    cells, runs = write_study(folder, accuracy)
    tables.write(cells, runs, folder / "tables", expected=expected, protocols={"official": PROTOCOL})
    return read_curves(cells, phase="aggregated", metric="accuracy"), tables.read(folder / "tables" / "table1.csv")


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_convergence_has_a_panel_per_version_and_a_line_per_strategy(tmp_path: Path) -> None:
    figure = convergence.draw(*study(tmp_path, STRATEGIES, seeds=3))
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["VGG-11", "VGG-13"]
    for panel in figure.axes:
        curves = [drawn for drawn in panel.lines if len(drawn.get_xdata()) == 2]
        assert [to_hex(drawn.get_color()) for drawn in curves] == [c.lower() for c in style.STRATEGY_COLOURS.values()]
        assert sum(isinstance(drawn, PolyCollection) for drawn in panel.collections) == 5
    first = figure.axes[0].lines[0]
    assert np.asarray(first.get_ydata()) == pytest.approx([51.0, 61.0])  # seeds 60, 61, 62; ten points less before
    assert legend(figure) == [*map(title, STRATEGIES), "paper's Table 1"]


def test_a_block_without_a_run_is_called_missing(tmp_path: Path) -> None:
    figure = convergence.draw(*study(tmp_path, ("max_common",), seeds=1, absent="max_common"))
    assert legend(figure)[:1] == ["Max-Common (missing)"]
    assert "missing: no run of this block is there" in figure.get_supxlabel()
    assert not [drawn for panel in figure.axes for drawn in panel.lines if len(drawn.get_xdata()) == 2]
    style.save(figure, tmp_path / "missing")


def test_a_missing_strategy_is_named_and_not_drawn(tmp_path: Path) -> None:
    figure = convergence.draw(*study(tmp_path, ("standalone", "max_common"), seeds=1, absent="max_common"))
    assert legend(figure)[:2] == ["Standalone", "Max-Common (missing)"]
    assert len([drawn for drawn in figure.axes[0].lines if len(drawn.get_xdata()) == 2]) == 1


@pytest.mark.parametrize(("seeds", "bands", "words"), [(1, 0, "one seed"), (2, 1, "range"), (3, 1, "95 %")])
def test_the_band_is_what_the_figure_says(tmp_path: Path, seeds: int, bands: int, words: str) -> None:
    figure = convergence.draw(*study(tmp_path, ("standalone",), seeds))
    assert sum(isinstance(drawn, PolyCollection) for drawn in figure.axes[0].collections) == bands
    assert words in figure.get_supxlabel()
    if seeds == 2:
        heights = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((50.0, 61.0))


def test_a_strategy_has_the_band_of_its_own_seeds(tmp_path: Path) -> None:
    curves, table = study(tmp_path, ("standalone", "max_common"), seeds=3)
    figure = convergence.draw(curves[(curves["strategy"] == "standalone") | (curves["seed"] == 0)], table)
    assert sum(isinstance(drawn, PolyCollection) for drawn in figure.axes[0].collections) == 1
    assert "1 to 3 seeds" in figure.get_supxlabel()


def test_one_evaluated_round_has_a_bar_for_a_band(tmp_path: Path) -> None:
    curves, table = study(tmp_path, ("standalone",), seeds=3)
    panel = convergence.draw(curves[curves["round"] == 2], table).axes[0]
    (bar,) = [drawn for drawn in panel.collections if isinstance(drawn, LineCollection)]
    half = 4.3027 / 3**0.5  # seeds 60, 61 and 62
    assert bar.get_segments()[0].tolist() == [
        [2, pytest.approx(61 - half, abs=1e-3)],
        [2, pytest.approx(61 + half, abs=1e-3)],
    ]
    assert all(tick == round(tick) for tick in panel.get_xticks())


@pytest.mark.parametrize("kind", ["overview", "final_numbers"])
def test_nothing_beside_one_panel_is_cut_off(tmp_path: Path, kind: str) -> None:
    """With a protocol whose name is longer than the panel is wide, and the paper's numbers in the legend."""
    curves, table = (t.assign(protocol="of_" * 20 + "the paper") for t in study(tmp_path, STRATEGIES, seeds=3))
    figure = overview.draw(curves, table) if kind == "overview" else final_numbers.draw(table)
    assert cut_off(figure) == []
    assert "\n" in figure.axes[0].get_title(loc="left")


def test_final_numbers_shows_missing_lines_as_missing(tmp_path: Path) -> None:
    _, table = study(tmp_path, ("standalone", "max_common"), seeds=2, absent="max_common")
    (panel,) = final_numbers.draw(table).axes
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["Standalone", "Max-Common"]
    assert [(text.get_text(), text.get_position()[1]) for text in panel.texts] == [("missing", 1)]


def test_class_mix_counts(tmp_path: Path) -> None:
    clients = [ClientSamples(np.array([0, 1, 2]), np.array([0])), ClientSamples(np.array([3]), np.array([1, 2]))]
    figure = class_mix.draw(clients, np.array([0, 0, 1, 1]), np.array([0, 1, 1]), ["cat", "dog"])
    train, test = ([bar.get_width() for bar in panel.patches] for panel in figure.axes)
    assert train == [2, 0, 1, 1]  # cats of both clients, then dogs
    assert test == [1, 0, 0, 2]
    assert legend(figure) == ["cat", "dog"]


def test_a_legend_of_several_rows_is_read_row_by_row() -> None:
    """Ten classes in two rows; matplotlib itself would set 0 2 4 ... above 1 3 ..."""
    figure = Figure(figsize=(9.2, 2))
    style.legend_below(figure, [Patch(label=str(n)) for n in range(10)], 8)
    figure.draw_without_rendering()
    places = {text.get_text(): text.get_window_extent() for text in figure.legends[0].get_texts()}
    assert sorted(places, key=lambda name: (-round(places[name].y0), places[name].x0)) == [str(n) for n in range(10)]


def cells_by_colour(panel: matplotlib.axes.Axes) -> dict[str, int]:
    colours = [to_hex(p.get_facecolor()) for p in panel.patches if isinstance(p, Rectangle)]
    return {colour: colours.count(colour) for colour in dict.fromkeys(colours)}


@pytest.fixture(scope="module")
def vgg_plans() -> list[plan.Plan]:
    return [planning.for_family("vgg", strategy, versions=VERSIONS) for strategy in STRATEGIES]


def test_of_many_clients_a_row_stands_for_all_that_share_alike() -> None:
    """Forty-eight clients of three versions, under two strategies: three rows, and as many sets as with one each."""
    names, versions = ("clustered_fl", "max_common"), ("V1", "V2", "V4")
    many, few = (
        [planning.for_family("vgg", name, versions=[v for v in versions for _ in range(each)]) for name in names]
        for each in (16, 2)
    )
    figure = sharing.draw(many)
    assert [len(axis.get_yticks()) for axis in figure.axes] == [3, 3]
    assert figure.axes[0].get_ylim()[0] == pytest.approx(3 - 0.4)
    texts = [[text.get_text() for text in drawn.legends[0].get_texts()] for drawn in (figure, sharing.draw(few))]
    assert texts[0] == texts[1]


def test_sharing_draws_every_layer_once(vgg_plans: list[plan.Plan]) -> None:
    """VGG-11 has 11 layers, VGG-13 has 13, two clients each; the first layer alone is common to all four."""
    figure = sharing.draw(vgg_plans)
    assert [panel.get_title(loc="left") for panel in figure.axes] == [title(name) for name in STRATEGIES]
    personal = sharing.PERSONAL.lower()
    assert cells_by_colour(figure.axes[0]) == {personal: 48}
    everybody, first, second = (c.lower() for c in sharing._SET_COLOURS[:3])
    assert cells_by_colour(figure.axes[1]) == {first: 22, second: 26}
    assert cells_by_colour(figure.axes[2]) == {everybody: 4, personal: 44}
    assert cells_by_colour(figure.axes[4]) == {everybody: 4, first: 20, second: 24}
    assert legend(figure) == ["all clients", "VGG-11", "VGG-13", "personal"]


def test_sharing_by_place_leaves_gaps_where_a_member_has_no_layer() -> None:
    """VGG-11 has one convolution in each of the first two stages, and two of four in each of the others."""
    members = {"B1": Member("V1"), "B2": Member("V4")}
    plans = [
        planning.for_members("vgg", strategy, tiers=("B1", "B2"), members=members, shape=(3, 32, 32), classes=10)
        for strategy in ("max_common", "elf")
    ]
    figure = sharing.draw(plans)
    by_prefix, by_place = figure.axes
    for panel in figure.axes:
        assert [tick.get_text() for tick in panel.get_yticklabels()] == ["B1: VGG-11", "B2: VGG-19"]
        cells = [(p.get_x(), p.get_y()) for p in panel.patches if isinstance(p, Rectangle)]
        assert [round(x + 0.46) for x, y in cells if y < 0.5] == [1, 3, 5, 6, 9, 10, 13, 14, 17, 18, 19]
    assert cells_by_colour(by_prefix) == {sharing._SET_COLOURS[0].lower(): 2, sharing.PERSONAL.lower(): 28}
    everybody, alone = (colour.lower() for colour in sharing._SET_COLOURS[:2])
    assert cells_by_colour(by_place) == {everybody: 22, alone: 8}
    assert by_place.get_xlabel() == "layer of VGG-19, from input to output"
    assert legend(figure) == ["all clients", "B2", "personal"]


def test_the_rows_of_a_plan_say_what_its_tiers_hold() -> None:
    members = {"B1": Member("V1", 0.5, 0.36), "B2": Member("V4")}
    made = planning.for_members(
        "mlp", "heterofl", tiers=("B1", "B2", "B2"), members=members, shape=(1, 8, 8), classes=10
    )
    (panel,) = sharing.draw([made]).axes
    rows = {tick.get_text(): y for tick, y in zip(panel.get_yticklabels(), panel.get_yticks(), strict=True)}
    assert rows == {"B1: MLP-2 at width 0.5, 64 % of its values": 0, "B2: MLP-5": 1.5}


def test_budgets_are_lines_and_what_members_take_are_marks_below() -> None:
    """An MLP cannot be cut by depth to a twentieth; in every other way each tier has a mark."""
    protocol = Protocol(clients=4, versions=("B1", "B2"), budgets=Budgets(levels=(0.05, 1.0)))
    table = tables_of_budgets.look_up("mlp", (1, 8, 8), 10, {}, protocol)
    figure = budgets.draw(table)
    (panel,) = figure.axes
    lines = [line for line in panel.collections if isinstance(line, LineCollection)]
    assert [line.get_segments()[0][0, 1] for line in lines] == [0.05, 1]
    marks = [np.asarray(line.get_ydata()).tolist() for line in panel.lines]
    assert marks == [list(some.values()) for some in table.taken.values()] and len(marks) == 3
    assert all(0 < low <= 0.05 and high == 1 for low, high in marks)
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["B1", "B2"]
    without = ["depth (a tier has no member)", "depth and sparsity", "depth and width", "width"]
    assert sorted(legend(figure)) == ["budget", *without]
    assert cut_off(figure) == []


def test_the_same_figure_has_the_same_bytes(tmp_path: Path, vgg_plans: list[plan.Plan]) -> None:
    for name in ("one", "two"):
        style.save(sharing.draw(vgg_plans), tmp_path / f"{name}.vgg.official")
    for suffix in (".svg", ".png"):
        one, two = ((tmp_path / f"{name}.vgg.official{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two
    assert b"<dc:date>" not in (tmp_path / "one.vgg.official.svg").read_bytes()


def test_settings_of_matplotlib_are_left_alone(vgg_plans: list[plan.Plan]) -> None:
    before = dict(matplotlib.rcParams)
    sharing.draw(vgg_plans)
    assert dict(matplotlib.rcParams) == before


def test_a_strategy_of_ones_own_gets_a_colour_of_its_own() -> None:
    palette = style.colours(["mine", "max_common", "another"])
    assert palette["max_common"] == style.STRATEGY_COLOURS["max_common"]
    assert len(set(palette.values()) | set(style.STRATEGY_COLOURS.values())) == 7
    many = style.colours([f"number {i}" for i in range(8)])
    assert len(set(many.values()) | set(style.STRATEGY_COLOURS.values())) == 13


def test_a_protocol_may_be_called_none(tmp_path: Path) -> None:
    one = Cell("cifar10", "vgg", "standalone", "None", 0)
    cells, runs = write_study(tmp_path, {one: {"V1": 60.0, "V2": 62.0}})
    tables.write(cells, runs, tmp_path, expected=[one], protocols={"None": PROTOCOL})
    table = tmp_path / "table1.csv"
    final_numbers.write(table, tmp_path / "final_numbers")
    convergence.write(cells, table, tmp_path / "convergence", dataset="cifar10", family="vgg", protocol="None")
    assert {path.stem for path in tmp_path.glob("*.svg")} == {"final_numbers", "convergence"}


def test_files_to_files(tmp_path: Path, vgg_plans: list[plan.Plan]) -> None:
    study(tmp_path, ("standalone",), seeds=1)
    cells, table = tmp_path / "cells.parquet", tmp_path / "tables" / "table1.csv"
    where = {"dataset": "cifar10", "family": "vgg", "protocol": "official"}
    convergence.write(cells, table, tmp_path / "convergence.cifar10.vgg.official", **where)
    final_numbers.write(table, tmp_path / "final_numbers")
    plan.write(vgg_plans[0], tmp_path / "plan.json")
    sharing.write([tmp_path / "plan.json"], tmp_path / "sharing.vgg.official")
    assert {p.name for p in tmp_path.glob("*.svg")} == {
        "convergence.cifar10.vgg.official.svg",
        "final_numbers.svg",
        "sharing.vgg.official.svg",
    }
