"""Cards and curves of the report: places on a scale, and the values that the page's script draws."""

import json
from pathlib import Path

import pytest

from flexifed.analysis.statistics import Verdict
from flexifed.report import Sources, brief, curves
from flexifed.report.cards import cards
from flexifed.report.parts import Card
from flexifed.settings.cell import Cell
from tests.unit.results import PROTOCOL, write_study, write_tables


def cell(dataset: str, strategy: str, seed: int) -> Cell:
    return Cell(dataset, "vgg", strategy, "official", seed)


MEANS = {"clustered_fl": 61.0, "max_common": 73.0}
THERE = {
    cell("cifar10", name, seed): {"V1": mean + seed, "V2": mean + seed}
    for name, mean in MEANS.items()
    for seed in (0, 1)
} | {cell("cinic10", "max_common", 0): {"V1": 50.0, "V2": 52.0}}
EXPECTED = [*THERE, cell("agnews", "max_common", 0)]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Two blocks that are there, of two seeds and of one, and one that is not."""
    folder = tmp_path_factory.mktemp("first")
    drawn, runs = write_study(folder, THERE)
    write_tables(folder, EXPECTED, {"official": PROTOCOL}, folder / "tables")
    return Sources("study", folder / "tables", runs, [Path("overview.png")], EXPECTED, curves_file=drawn)


def made(sources: Sources) -> list[Card]:
    return [*cards(sources.table1, sources.table("comparisons"), brief.told)]


def test_dots_lie_on_a_scale_whose_ends_are_told(sources: Sources) -> None:
    """Worked by hand: 73.5 with an interval of 12.7 * 0.7 / 1.4 = 6.4 to each side, and the paper's 82.9."""
    card = made(sources)[0]
    assert card.ends == ("55 %", "85 %")
    assert [dot.name for dot in card.dots] == ["Max-Common", "Clustered-FL"]
    highest = card.dots[0]
    assert highest.text == "73.5 ± 6.4" and highest.mean == pytest.approx(100 * (73.5 - 55) / 30, abs=0.01)
    assert highest.low is not None and highest.high is not None
    assert highest.high - highest.low == pytest.approx(100 * 2 * 6.353 / 30, abs=0.02)
    assert highest.paper == pytest.approx(100 * (82.9 - 55) / 30, abs=0.01)
    assert card.lead == "Max-Common is highest, 73.5 ± 6.4 % (2 seeds)."


def test_one_seed_has_no_bar_and_what_is_missing_no_dot(sources: Sources) -> None:
    _, single, missing = made(sources)
    assert [(dot.low, dot.high) for dot in single.dots] == [(None, None)]
    assert missing.lead == "missing, no cell is there." and not missing.dots


def test_blocks_of_one_data_set_have_one_scale(tmp_path: Path) -> None:
    study = {
        Cell("cifar10", family, "max_common", "official", 0): {"V1": v, "V2": v}
        for family, v in (("vgg", 33.0), ("resnet", 71.0))
    }
    _, runs = write_study(tmp_path, study)
    write_tables(tmp_path, [*study], {"official": PROTOCOL}, tmp_path / "tables")
    two = made(Sources("study", tmp_path / "tables", runs, [], [*study]))
    assert {card.ends for card in two} == {("30 %", "85 %")}
    assert [card.dots[0].mean for card in two] == [
        pytest.approx(100 * 3 / 55, abs=0.01),
        pytest.approx(100 * 41 / 55, abs=0.01),
    ]


def test_each_ordering_has_its_verdict(sources: Sources) -> None:
    """The difference is 12 in both seeds: it has no width, so that it is not resolved."""
    assert {one.word for one in made(sources)[0].orderings} == {Verdict.NOT_RESOLVED}
    assert not made(sources)[1].orderings or {one.word for one in made(sources)[1].orderings} == {Verdict.MISSING}


def test_curves_have_bands_where_there_are_seeds(sources: Sources) -> None:
    first, second = (json.loads(panel.data) for panel in curves.panels(sources))
    assert first["rounds"] == [1, 2]
    line = {line["name"]: line for line in first["lines"]}["Max-Common"]
    assert line["mean"] == [63.5, 73.5] and line["low"] == [63.0, 73.0] and line["high"] == [64.0, 74.0]
    assert first["note"].endswith("band: range of the two seeds")
    assert [(line["low"], line["high"]) for line in second["lines"]] == [(None, None)]
    assert second["lines"][0]["mean"][-1] == 51.0


def test_without_the_long_table_there_are_pictures_only(sources: Sources) -> None:
    assert not [*curves.panels(Sources("study", sources.tables_folder, sources.runs_file, [], EXPECTED))]
