"""The report: one file, nothing from elsewhere, the answer as the numbers allow it."""

import base64
import hashlib
import json
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flexifed import report
from flexifed.analysis import deviation, effects, tables
from flexifed.analysis.collect import collect, read_runs
from flexifed.analysis.effects import Effect
from flexifed.analysis.typeset import blocks
from flexifed.figures import effects as effects_figure
from flexifed.figures import errors as deviation_figure
from flexifed.figures import final_numbers, overview
from flexifed.report import Sources, brief, classifier, costs, moments, pictures, provenance, settings, table1
from flexifed.report import answer as answers
from flexifed.report import effects as effects_section
from flexifed.report import headline as headline_section
from flexifed.report import published as published_section
from flexifed.report import sweep as sweep_section
from flexifed.report.parts import Grid, Points, Words, anchor, points
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber
from tests.unit import results
from tests.unit.results import FOUR, PROTOCOL, write_study

STRATEGIES = ("clustered_fl", "max_common")
HOSTILE = '<script>alert("x")</script> & co'


def cell(strategy: str, seed: int) -> Cell:
    return Cell("cifar10", "vgg", strategy, "official", seed)


def write_tables(
    folder: Path,
    accuracy: dict[Cell, dict[str, float]],
    expected: list[Cell],
    protocols: tuple[str, ...] = ("official",),
    **settings: Any,
) -> None:
    """All tables of a study, in the folder's `tables`, beside its `cells.parquet` and `runs.parquet`."""
    write_study(folder, accuracy, **settings)
    results.write_tables(folder, expected, dict.fromkeys(protocols, PROTOCOL), folder / "tables")


class Page(HTMLParser):
    """Tags and text of a page; fails on tags that are not closed in order."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def page(tmp_path: Path) -> str:
    """A study with a hostile name, one strategy missing and one figure."""
    there = {cell("standalone", seed): {"V1": 60.0 + seed, "V2": 62.0} for seed in (1, 2)}
    expected = [*there, cell("max_common", 1)]
    write_tables(tmp_path, there, expected)
    final_numbers.write(tmp_path / "tables" / "table1.csv", tmp_path / "final_numbers")
    figure = tmp_path / "final_numbers.svg"
    sources = Sources(HOSTILE, tmp_path / "tables", tmp_path / "runs.parquet", [figure], expected)
    report.render(sources, tmp_path / "report.html")
    return (tmp_path / "report.html").read_text()


def test_the_page_is_well_formed_and_whole(page: str) -> None:
    parsed = Page(page)
    text = " ".join(parsed.words)
    for heading in (
        "In short",
        "The answer",
        "What is missing",
        "Table 1",
        "Beside the published numbers",
        "Costs",
        "Provenance",
    ):
        assert heading in text
    assert "61.5 ± 6.4" in text  # 12.706 * (1 / sqrt(2)) / sqrt(2) = 6.35 for V1: seeds 61 and 62
    assert "0123456789ab" in text


def test_nothing_comes_from_elsewhere(page: str) -> None:
    for tag, attributes in Page(page).tags:
        assert tag not in ("link", "iframe", "object")
        for name in ("src", "href", "srcset"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert not re.search(r"url\(|@import", page)


def test_the_headline_claims_follow_the_answer(tmp_path: Path) -> None:
    there = {cell(s, seed): {"V1": 60.0 + seed, "V2": 62.0} for s in ("clustered_fl", "max_common") for seed in (1, 2)}
    write_tables(tmp_path, there, list(there))
    sources = Sources("study", tmp_path / "tables", tmp_path / "runs.parquet", [], list(there))
    report.render(sources, tmp_path / "report.html")
    parsed = Page((tmp_path / "report.html").read_text())
    headings = [word for word in parsed.words if word in ("The answer", "The paper's headline claims", "Table 1")]
    assert headings == 2 * ["The answer", "The paper's headline claims", "Table 1"]  # the contents, and the page
    assert "Max-Common is 2.6 to 9.7 points better than Clustered-FL" in parsed.words
    assert "Not resolved: CIFAR-10, VGG, protocol official +0.0 (0.0 to 0.0)." in " ".join(parsed.words)


def test_nothing_but_the_pages_own_script_and_style_may_run(page: str) -> None:
    parsed = Page(page)
    (policy,) = [a["content"] or "" for _, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[f"{tag}-src"] == f"'sha256-{digest}'"
        assert sum(name == tag for name, _ in parsed.tags) == 1


def test_images_have_a_text(page: str) -> None:
    images = [attributes for tag, attributes in Page(page).tags if tag == "img"]
    assert len(images) == 1
    assert (images[0]["src"] or "").startswith("data:image/svg+xml;base64,")
    assert (images[0]["alt"] or "").startswith("Final numbers. Mean over versions")


def test_a_hostile_name_is_text(page: str) -> None:
    assert page.count("<script") == 1
    assert '<script>"use strict"' in page
    assert HOSTILE in "".join(Page(page).words)


def test_what_is_missing_is_listed(page: str) -> None:
    parsed = Page(page)
    assert "cifar10/vgg/max_common/official/seed1" in parsed.words
    assert any(tag == "td" and attributes.get("class") == "missing" for tag, attributes in parsed.tags)
    assert "2 of 3 runs" in " ".join(parsed.words)


def answer(folder: Path, accuracy: dict[Cell, dict[str, float]]) -> str:
    write_tables(folder, accuracy, list(accuracy))
    ((key, block),) = blocks(tables.read(folder / "tables" / "table1.csv"))
    return " ".join(answers.sentences(key, block, tables.read(folder / "tables" / "comparisons.csv")))


def test_an_interval_without_width_is_not_said_to_hold_zero(tmp_path: Path) -> None:
    means = {"standalone": 60.0, "basic_common": 61.0}
    text = answer(tmp_path, {cell(s, i): {"V1": v + i, "V2": v} for s, v in means.items() for i in (0, 1)})
    assert "the interval holds zero or has no width: Basic-Common over Standalone +1.0 (1.0 to 1.0)." in text
    for words in (classifier.OUTCOMES, sweep_section.OPENINGS):
        assert "holds zero or has no width" in words["not resolved"]


def test_strategies_that_tie_are_all_highest(tmp_path: Path) -> None:
    means = {"standalone": 61.0, "clustered_fl": 60.0, "max_common": 61.0}
    write_tables(tmp_path, study := {cell(s, 0): {"V1": v, "V2": v} for s, v in means.items()}, list(study))
    ((key, block),) = blocks(tables.read(tmp_path / "tables/table1.csv"))
    line = brief.line(key, block, tables.read(tmp_path / "tables/comparisons.csv"))
    assert "Standalone and Max-Common are highest, 61.0 % (1 seed)." in line
    tied = pd.DataFrame({"version": "mean", "n_seeds": 1, "mean": [50.0, 60.0] * 40})
    assert list(answers.ranked(tied).index) == [*range(1, 80, 2), *range(0, 80, 2)]


def test_a_device_of_several_runs_is_named_once(tmp_path: Path) -> None:
    study = {cell("standalone", seed): {"V1": 60.0, "V2": 62.0} for seed in (0, 1)}
    write_tables(tmp_path, study, list(study))
    path = tmp_path / "runs.parquet"
    read_runs(path).assign(device=["a device; another", "a device"]).to_parquet(path)
    text = brief.what(Sources("study", tmp_path / "tables", path, [], list(study)))
    assert re.search(r"\d (minutes|hours) of training on a device; another\.$", text)


def test_what_rounds_to_zero_has_no_minus() -> None:
    gain = {"difference": -0.04, "ci95_low": -0.04, "ci95_high": -0.01, "n_seeds": 3, "verdict": "contradicted"}
    block = dict.fromkeys(("dataset", "family", "protocol", "across"), "x") | {"classifier": "none", "paper": -0.04}
    ends = {"strategy": "mine", "lowest": 1, "highest": 2, "of": "mean"}
    headline = {"claim": "gain", "not_reached": 0, "value": -0.04}
    told = [
        points(-0.04),
        points(-0.04, signed=True),
        answers.verdicts(pd.DataFrame([block | gain | {"higher": "max_common", "lower": "clustered_fl"}])).rows,
        sweep_section.claims(pd.DataFrame([gain | ends])),
        headline_section.value(pd.Series(gain | headline)),
        [grid.rows for grid in classifier.differences(pd.DataFrame([block | gain]))],
    ]
    for text in map(str, told):
        assert "0.0" in text and "-0.0" not in text


def test_published_means_stand_beside_lines_over_the_same_versions(tmp_path: Path) -> None:
    protocols = {"two": PROTOCOL, "one": replace(PROTOCOL, versions=("V1",), clients=1)}
    study = {
        replace(cell("max_common", 0), protocol=name): dict.fromkeys(protocol.versions, 80.0)
        for name, protocol in protocols.items()
    }
    write_study(tmp_path, study)
    results.write_tables(tmp_path, [*study], protocols, tmp_path)
    grids = published_section.grids(tables.read(tmp_path / "table1.csv"), tables.read(tmp_path / "published.csv"))
    beside = [dict(zip(grid.columns, grid.rows[0], strict=True))["paper"] for grid in grids]
    assert beside == ["82.9", "80.6"]  # (80.6 + 85.2) / 2, and VGG-11 alone


def test_the_answer_orders_the_strategies_and_says_what_is_resolved(tmp_path: Path) -> None:
    means = {
        "standalone": (60.0, 60.4),
        "basic_common": (60.1, 60.2),
        "clustered_fl": (70.0, 70.3),
        "clustered_common": (68.98, 69.18),
    }
    text = answer(tmp_path, {cell(s, i): {"V1": v[i], "V2": v[i]} for s, v in means.items() for i in (0, 1)})
    assert "(2 seeds): Clustered-FL 70.2 ± 1.9, Clustered-Common 69.1 ± 1.3, Standalone 60.2" in text
    as_in_paper, rest = text.split("Ordered against what is published")
    contradicted, unresolved = rest.split("Not resolved")
    assert "Clustered-FL over Standalone +9.9 (9.3 to 10.6)" in as_in_paper
    assert "Clustered-Common over Clustered-FL -1.1 (-1.7 to -0.4)" in contradicted
    assert "Basic-Common over Standalone -0.1 (-2.0 to 1.9)" in unresolved


def test_one_seed_orders_nothing(tmp_path: Path) -> None:
    text = answer(tmp_path, {cell(s, 1): {"V1": v, "V2": v} for s, v in (("standalone", 60.0), ("basic_common", 90.0))})
    assert "one seed cannot be distinguished from chance: Basic-Common over Standalone +30.0." in text
    assert "as published" not in text


def test_what_is_not_comparable_is_not_set_beside_published_numbers(tmp_path: Path) -> None:
    study = {cell("max_common", 1): {"V1": 60.0, "V2": 62.0}}
    write_tables(tmp_path, study, list(study), width=0.125)
    sources = Sources("study", tmp_path / "tables", tmp_path / "runs.parquet", [], list(study))
    (part,) = published_section.section(sources).parts
    assert isinstance(part, Points)
    assert part.items == ["No number of this study may be set beside a published one (1 line): width 1/8 (1)."]


def test_errors_are_told_in_words_then_in_a_figure_and_grids(tmp_path: Path) -> None:
    """The paper has 80.6 and 85.2 for Max-Common on VGG-11 and VGG-13."""
    study = {cell("max_common", seed): {"V1": 82.6, "V2": 81.2 + 2 * seed} for seed in (0, 1)}
    write_tables(tmp_path, study, list(study))
    deviation_figure.write(tmp_path / "tables/errors.csv", tmp_path / "errors")
    expected = [*study, *(cell("standalone", seed) for seed in (0, 1))]
    sources = Sources("study", tmp_path / "tables", tmp_path / "runs.parquet", [tmp_path / "errors.png"], expected)
    parts = published_section.section(sources).parts
    assert [part.kind for part in parts] == ["points", "remark", "grid", "picture", "grid", "remark", "grid"]
    claims, *_, by_cell, _, _ = parts
    assert isinstance(claims, Points) and isinstance(by_cell, Grid)
    assert claims.items[0] == (
        "official is 2.5 points from the paper on average, over 2 of 2 numbers "
        "(mean error -0.5, root mean square 2.5); 1 of 1 published numbers are inside our interval."
    )
    assert by_cell.rows[0] == ["paper", "Max-Common", "+2.0 ± 0.0", "-3.0 ± 12.7", "-0.5 ± 6.4"]


def test_missing_cells_by_name(tmp_path: Path) -> None:
    write_tables(tmp_path, {cell("standalone", 1): {"V1": 60.0, "V2": 62.0}}, [cell("standalone", 1)])
    sources = Sources("study", tmp_path / "tables", tmp_path / "runs.parquet", [], [cell("standalone", 1)])
    assert sources.missing() == []
    assert replace(sources, expected=[cell("standalone", 2)]).missing() == ["cifar10/vgg/standalone/official/seed2"]


def test_a_study_without_a_cell_still_has_a_report(tmp_path: Path) -> None:
    write_tables(tmp_path, {}, [cell("standalone", 1)])
    sources = Sources("nothing", tmp_path / "tables", tmp_path / "runs.parquet", [], [cell("standalone", 1)])
    report.render(sources, tmp_path / "report.html")
    words = " ".join(Page((tmp_path / "report.html").read_text()).words)
    assert "Missing: no cell of this block is there." in words
    assert "0 of 1 runs" in words


def test_effects_come_first_with_claims_a_figure_and_grids(tmp_path: Path) -> None:
    """Few images cost 4.0 points; sharing nothing was not run."""
    means = {"official": (60.0, 70.0, 65.0), "few": (56.0, 65.5, 61.5)}
    there = {
        replace(cell("max_common", seed), protocol=name): {"V1": value, "V2": value}
        for name, values in means.items()
        for seed, value in enumerate(values)
    }
    expected = [*there, *(replace(cell("max_common", seed), protocol="never") for seed in range(3))]
    protocols = dict.fromkeys(("official", "few", "never"), PROTOCOL)
    write_tables(tmp_path, there, expected, tuple(protocols))
    folder = tmp_path / "tables"
    named = [Effect("data", HOSTILE, "few", "official", PROTOCOL.final)]
    named += [Effect("classifier", "never averaged", "never", "official", PROTOCOL.final)]
    cells, runs = tmp_path / "cells.parquet", tmp_path / "runs.parquet"
    effects.write(cells, folder / "table1.csv", folder, expected=expected, protocols=protocols, effects=named)
    effects_figure.write(folder / "effects.csv", tmp_path / "effects")
    sources = Sources("study", folder, runs, [tmp_path / "effects.png"], expected, has_effects=True)
    report.render(sources, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    parsed = Page(text)
    words = " ".join(parsed.words)
    assert f"Data, {HOSTILE}: lowers Max-Common by 4.0 (2.8 to 5.2)." in words
    assert "Not run: never averaged (Max-Common)." in words
    assert parsed.words.index("What each factor does") < parsed.words.index("The answer by protocol")
    assert "▼ -4.0 ± 1.2" in parsed.words
    assert "2 rounds (authors' script: 502)." in parsed.words
    (image,) = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert (image["alt"] or "").startswith("What each factor does. What each change does to the final number")
    (grid,) = effects_section.grids(effects.read(folder / "effects.csv"), tables.read(folder / "table1.csv"))
    assert {len(row) for row in grid.rows} == {len(grid.columns)}


def test_the_classifier_section_says_what_sharing_across_versions_costs(tmp_path: Path) -> None:
    """Three seeds in which not sharing gains 1.9, 2.0 and 2.1."""
    values = {"official": (72.0, 81.9, 62.1), "across": (70.0, 80.0, 60.0)}
    study = {
        replace(cell("max_common", seed), protocol=name): dict.fromkeys(FOUR.versions, value)
        for name, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    }
    cells, runs = write_study(tmp_path, study)
    protocols = {"official": FOUR, "across": replace(FOUR, classifier="all")}
    tables.write(cells, runs, tmp_path, expected=list(study), protocols=protocols)
    section = classifier.section(Sources("study", tmp_path, runs, [], list(study)))
    grid = section.parts[0]
    assert isinstance(grid, Grid)
    assert grid.heading == "CIFAR-10, VGG"
    assert grid.rows == [
        [
            "within a version (protocol official less across)",
            "3",
            "+2.0",
            "+1.8 to +2.2",
            "+1.6",
            "as in the paper: sharing across versions costs accuracy",
        ]
    ]
    assert len(grid.columns) == 6


def test_the_overview_is_the_first_figure(tmp_path: Path) -> None:
    study = {cell("max_common", 1): {"V1": 60.0, "V2": 62.0}}
    write_tables(tmp_path, study, list(study))
    table, drawn = tmp_path / "tables/table1.csv", [tmp_path / "final_numbers", tmp_path / "overview"]
    final_numbers.write(table, drawn[0])
    overview.write(tmp_path / "cells.parquet", table, drawn[1])
    images = [stem.with_suffix(".png") for stem in drawn]
    sources = Sources("study", tmp_path / "tables", tmp_path / "runs.parquet", images, list(study))
    report.render(sources, tmp_path / "report.html")
    parsed = Page((tmp_path / "report.html").read_text())
    texts = [attributes["alt"] or "" for tag, attributes in parsed.tags if tag == "img"]
    assert [text.split(".")[0] for text in texts] == ["Convergence at a glance", "Final numbers"]


def test_a_study_without_effects_says_nothing_of_them(page: str) -> None:
    assert pictures.HEADINGS["effects"] not in page


@pytest.mark.parametrize(
    ("kind", "what", "title"),
    [
        ("convergence", ["cifar10", "vgg", "official"], "CIFAR-10, VGG, protocol official"),
        ("class_mix", ["agnews", "official", "seed1"], "AG News, protocol official, seed 1"),
        ("sharing", ["vdcnn", "official"], "VDCNN, protocol official"),
        ("budgets", ["cifar10", "resnet", "tiers"], "CIFAR-10, ResNet, protocol tiers"),
        ("final_numbers", [], "Final numbers"),
    ],
)
def test_titles_of_figures(kind: str, what: list[str], title: str) -> None:
    assert pictures.figure_title(kind, what) == title


def test_columns_of_the_reports_tables_match_their_headings(tmp_path: Path) -> None:
    write_tables(tmp_path, {cell("max_common", 1): {"V1": 60.0, "V2": 62.0}}, [cell("max_common", 1)])
    first = tables.read(tmp_path / "tables" / "table1.csv")
    runs: pd.DataFrame = read_runs(tmp_path / "runs.parquet")
    grids = [table1.grid(key, block, runs) for key, block in blocks(first)]
    grids += [provenance.runs(runs, Path()), provenance.data(runs)]
    grids += [moments.grid(tables.read(tmp_path / "tables" / "phases.csv"))]
    grids += [classifier.grid(tables.read(tmp_path / "tables" / "table3.csv"))]
    grids += published_section.grids(first, tables.read(tmp_path / "tables" / "published.csv"))
    grids += [published_section.in_all(deviation.read(tmp_path / "tables" / "errors_in_all.csv"))]
    grids += published_section.by_cell(deviation.read(tmp_path / "tables" / "errors.csv"))
    for grid in grids:
        assert grid.rows
        assert {len(row) for row in grid.rows} == {len(grid.columns)}, grid.heading


def test_a_folder_of_records_elsewhere_is_seen_from_the_page(tmp_path: Path) -> None:
    write_tables(tmp_path, {cell("max_common", 1): {"V1": 60.0, "V2": 62.0}}, [cell("max_common", 1)])
    grid = provenance.runs(read_runs(tmp_path / "runs.parquet"), Path("../elsewhere"))
    assert grid.rows[0][-1] == "../elsewhere/cells/cifar10/vgg/max_common/official/seed1/run.json"


def test_names_of_runs_suit_links() -> None:
    assert anchor(cell("max_common", 1)) == "run/cifar10/vgg/max_common/official/seed1"
    assert not set(anchor(cell('a b"<', 1))) & set(' "<')


def test_a_study_of_many_blocks_is_folded(tmp_path: Path) -> None:
    """Eleven blocks: their lines and tables are folded, and the opening counts their orderings together."""
    there = {
        replace(cell(strategy, seed), protocol=f"p{number}"): {"V1": value + seed / 10, "V2": value}
        for number in range(11)
        for strategy, value in (("standalone", 60.0 - number), ("basic_common", 60.0 + number))
        for seed in (1, 2)
    }
    _, runs = write_study(tmp_path, there)
    results.write_tables(tmp_path, [*there], {f"p{number}": PROTOCOL for number in range(11)}, tmp_path)
    sources = Sources("study", tmp_path, runs, [], [*there])
    opening = brief.section(sources)
    assert isinstance(opening.parts[1], Words)
    assert opening.parts[1].text == "Of the published orderings in 11 blocks, 11 in all, 11 are not resolved."
    assert table1.section(sources).folded == {"grid"}
    report.render(sources, tmp_path / "report.html")
    assert ("details", {"class": "part"}) in Page((tmp_path / "report.html").read_text()).tags


def test_many_blocks_of_one_strategy_have_no_orderings_and_tell_their_own_claim(tmp_path: Path) -> None:
    """Table 3's study: fourteen blocks of Max-Common alone; two pairs of them differ in the classifier."""
    protocols = {"across": replace(PROTOCOL, classifier="all"), "never": replace(PROTOCOL, classifier="none")}
    protocols |= {f"other{number}": replace(PROTOCOL, rounds=2 + number) for number in range(1, 6)}
    there = {
        replace(cell("max_common", seed), protocol=name, dataset=dataset): {"V1": 60.0 + (name == "never"), "V2": 60.0}
        for dataset in ("cifar10", "cinic10")
        for name in protocols
        for seed in (1,)
    }
    _, runs = write_study(tmp_path, there)
    results.write_tables(tmp_path, [*there], protocols, tmp_path)
    sources = Sources("study", tmp_path, runs, [], [*there])
    told = [part.text for part in brief.section(sources).parts if isinstance(part, Words)]
    assert told[1:] == [
        "The paper's claim that averaging the classifier across versions costs accuracy (Table 3): of 2 comparisons, "
        "2 rest on one seed."
    ]
    report.render(sources, tmp_path / "report.html")


def test_figures_with_the_same_content_are_shown_once(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / f"sharing.vgg.{name}.png").write_bytes(content)
    sources = Sources("study", tmp_path, tmp_path, sorted(tmp_path.iterdir()), [cell("max_common", 0)])
    shown = pictures.of_kind(sources, "sharing")
    assert [picture.caption for picture in shown] == ["VGG, protocol a; VGG, protocol c", "VGG, protocol b"]


def test_the_rule_of_the_final_number_stands_beside_each_table(tmp_path: Path) -> None:
    """By protocol where they differ; the costs say that theirs is another."""
    there = {replace(cell(s, 1), protocol=p): {"V1": 60.0, "V2": 62.0} for s in STRATEGIES for p in ("a", "b")}
    write_tables(tmp_path, there, list(there), ("a", "b"))
    best = FinalNumber(rule="best", phase="local", clients="first", decimals=2)
    finals = {"a": FinalNumber(), "b": best}
    sources = Sources("s", tmp_path / "tables", tmp_path / "runs.parquet", [], list(there), finals=finals)
    usual = "mean over the last 10 % of the rounds, after aggregation, tested in eval()"
    other = (
        "each client's best tested round, after local training and before aggregation, tested in eval(), of each "
        "version's first client, rounded to 2 decimals first"
    )
    assert [part.notes[0] for part in table1.section(sources).parts] == [
        f"Final number: {usual}",
        f"Final number: {other}",
    ]
    both = f"Final number, by protocol: a: {usual}; b: {other}."
    report.render(sources, tmp_path / "report.html")
    text = " ".join(Page((tmp_path / "report.html").read_text()).words)
    assert text.count(both) == 5  # the answer, headline claims, moments, classifier, published numbers
    assert f"Final numbers here are {usual}, whatever the protocol's final number is" in text
    same = replace(sources, finals=dict.fromkeys("ab", best))
    assert same.rules() == f"Final number: {other}."


def test_settings_show_what_differs_and_all_the_rest(tmp_path: Path) -> None:
    there = {replace(cell(s, 1), protocol=p): {"V1": 60.0} for s in STRATEGIES for p in ("a", "b")}
    for number, (one, accuracy) in enumerate(there.items()):
        folder = results.write_cell(tmp_path / str(number), one, accuracy, width=0.5)
        record = json.loads((folder / "run.json").read_text())
        if one.protocol == "b":
            record["settings"]["protocol"]["optimiser"]["learning_rate"] = 0.1
            record["settings"]["protocol"]["partition"] = {"partitioner": "dirichlet", "options": {"alpha": 0.5}}
        if one.protocol == "a":
            del record["settings"]["protocol"]["common_layers"]  # as before there was such a key
        if one.strategy == "max_common" and one.protocol == "b":
            record["settings"]["precision"] = "tf32"
        (folder / "run.json").write_text(json.dumps(record))
    collect([tmp_path / str(n) for n in range(len(there))], tmp_path / "cells.parquet", tmp_path / "runs.parquet")
    finals = {"a": FinalNumber(), "b": FinalNumber(rule="last")}
    sources = Sources("s", tmp_path, tmp_path / "runs.parquet", [], list(there), finals=finals)
    differing, common = settings.section(sources).parts
    assert isinstance(differing, Grid) and isinstance(common, Grid)
    b = "CIFAR-10, VGG, protocol b"
    lines = {str(row[0]): dict(zip(differing.columns, row, strict=True)) for row in differing.rows}
    assert set(lines) == {"CIFAR-10, VGG, protocol a", f"{b} (Clustered-FL, seeds 1)", f"{b} (Max-Common, seeds 1)"}
    one = lines[f"{b} (Max-Common, seeds 1)"]
    assert one["optimiser.learning_rate"] == "0.1" and one["partition.options.alpha"] == "0.5"
    assert one["precision"] == "tf32" and one["final.rule"] == "last"
    assert lines["CIFAR-10, VGG, protocol a"]["optimiser.learning_rate"] == "0.01"
    assert lines["CIFAR-10, VGG, protocol a"]["partition.options.alpha"] == "–"
    rest = dict(common.rows)
    assert rest["families.vgg.width"] == "0.5" and rest["engine"] == "serial" and rest["versions"] == "V1, V2"
    assert rest["common_layers"] == "null"
    assert not set(rest) & set(differing.columns)
    known = {*asdict(PROTOCOL), "families", "engine", "precision"} - {"family_options"}
    assert {name.split(".")[0] for name in (*rest, *differing.columns[1:])} == known


def test_megabytes_are_per_client_wherever_they_stand(tmp_path: Path) -> None:
    """Two clients send 100 bytes each and receive 200."""
    there = {cell(s, 1): {"V1": 60.0, "V2": 62.0} for s in STRATEGIES}
    write_tables(tmp_path, there, list(there))
    sources = Sources("s", tmp_path / "tables", tmp_path / "runs.parquet", [], list(there))
    grid = provenance.runs(sources.runs, Path())
    place = grid.columns.index("MB up / down per client and round")
    assert grid.rows[0][place] == "0.0001 / 0.0002"
    first = costs.section(sources).parts[0]
    assert isinstance(first, Grid)
    row = dict(zip(first.columns, first.rows[0], strict=True))
    assert f"{row['MB up a round']} / {row['MB down']}" == grid.rows[0][place]
