"""The board: what every published number and claim came to, by hand; and its tables as text and as a page."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flexifed import generated
from flexifed.analysis import beside, published
from flexifed.analysis.statistics import Verdict
from flexifed.board import claims, folders, numbers, page, text, words
from flexifed.board.folders import Folder
from flexifed.reference import queue
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Protocol
from flexifed.study.single import Run, Source

README = "shaoxiongji/federated-learning README"
MLP = {"dataset": "mnist", "family": "mlp", "strategy": "fedavg", "protocol": "iid"}
VGG = {"dataset": "cifar10", "family": "vgg", "protocol": "official"}
NOTES = "width 1/8; 8 rounds (authors' script: 502); missing seeds: 2"

Rows = list[dict[str, Any]]


def folder(path: Path, lines: Sequence[dict[str, str]], rounds: int = 8, **tables: Rows) -> Folder:
    """Reference results of lines with three seeds each, of which only tables are there; `mine` is a setting of Oort."""
    versions = ("V1", "V2", "V3", "V4") if lines[0]["family"] == "vgg" else ("V1",)
    job = Job(Cell("", "", "", "", 0), Protocol(rounds=rounds, versions=versions), {}, "fast")
    cells = [Cell(**line, seed=seed) for line in lines for seed in range(3)]
    jobs = [replace(job, cell=cell, strategy="oort" if cell.strategy == "mine" else None) for cell in cells]
    (path / "tables").mkdir(parents=True)
    source = Source("copy", None, {}, "downloads")
    (path / queue.FILE).write_text(queue.text([Run("s", job, source) for job in jobs]))
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(path / f"tables/{name}.csv", index=False)
    return Folder(path)


def single(at: int, value: float, verdict: str, n_seeds: int = 3, absent: int = 0) -> dict[str, Any]:
    """A row of `beside.csv`."""
    numbers = {"mean": value - 1, "one_more_low": value - 2, "one_more_high": value + 2, "not_reached": absent}
    about = {**MLP, "version": "V1", "source": README, "metric": "accuracy", "note": ""}
    return {**about, "at": at, "published": value, "verdict": verdict, "n_seeds": n_seeds, **numbers}


def version(name: str, place: str, n_seeds: int = 3, against: str = "", **changed: Any) -> dict[str, Any]:
    """A row of `errors.csv` on Standalone's number of VGG, which is 64.4 for V1."""
    about = {**VGG, "strategy": "standalone", "source": "paper", "published_is": place, "version": name}
    ours = {"n_seeds": n_seeds, "mean": 47.9, "ci95_low": 46.8, "ci95_high": 48.9}
    return {**about, **ours, "against": against, "note": "", **changed}


def of(found: Sequence[numbers.Number], source: str) -> dict[str, int]:
    """The counts of a source that are not zero."""
    table = numbers.counts(found, "source").set_index("source")
    return {str(name): int(count) for name, count in table.loc[source].items() if count}


# Numbers


def test_every_published_number_is_told_from_every_other() -> None:
    keys = [numbers._key(row) for row in published.numbers().to_dict("records")]
    assert len(set(keys)) == len(keys)


def test_every_source_and_system_of_a_number_or_claim_is_known() -> None:
    systems, sources = published.systems(), published.sources()
    for table in (published.numbers(), published.apart(), published.claims()):
        for system, source in table[["system", "source"]].drop_duplicates().itertuples(index=False):
            assert sources[source]["system"] == system and system in systems
    for about in systems.values():
        assert not about["page"] or (generated.ROOT / about["page"]).is_file()
    for source in published.apart()["source"]:
        assert sources[source]["against"], "it is said what stands against comparing"


def test_without_results_every_number_is_open() -> None:
    found = numbers.numbers([])
    assert {number.outcome for number in found} == {numbers.OPEN}
    assert len(found) == len(published.numbers()) + len(published.apart())
    assert sum(int(row[2]) for row in words.open_rows(found)) == len(found)


def test_numbers_of_single_settings_count_once_by_their_best_line(tmp_path: Path) -> None:
    rows = [
        single(10, 94.57, beside.INSIDE),
        single(10, 70.44, beside.ABOVE),
        single(50, 97.21, beside.NOT_COMPARABLE),
        single(50, 97.21, beside.BELOW),
        single(50, 93.03, "missing", n_seeds=0),
    ]
    first = folder(tmp_path / "a", [MLP], beside=rows)
    again = folder(tmp_path / "b", [MLP], beside=[{**rows[1], "verdict": beside.TOO_FEW}])
    counts = of(numbers.numbers([first, again]), README)
    assert counts == {
        "numbers": 8,
        "reproduced": 1,
        "theirs is higher": 1,
        "theirs is lower": 1,
        "missed": 2,
        "open": 5,
    }


def test_versions_side_by_side_count_and_not_their_mean(tmp_path: Path) -> None:
    places = {"V1": "inside", "V2": "above", "V3": "not comparable", "V4": "missing", "mean": "inside"}
    rows = [version(name, place) for name, place in places.items()]
    counts = of(numbers.numbers([folder(tmp_path / "a", [{**VGG, "strategy": "standalone"}], errors=rows)]), "paper")
    assert counts == {
        "numbers": 160,
        "reproduced": 1,
        "theirs is higher": 1,
        "missed": 1,
        "undecided": 1,
        "open": 157,
    }


def test_of_equal_lines_one_with_an_interval_is_shown_and_of_those_the_longest(tmp_path: Path) -> None:
    line = [{**VGG, "strategy": "standalone"}]
    found = numbers.numbers(
        [
            folder(tmp_path / "long", line, rounds=60, errors=[version("V1", "not comparable", 1)]),
            folder(tmp_path / "short", line, rounds=8, errors=[version("V1", "not comparable", 3)]),
            folder(tmp_path / "middle", line, rounds=24, errors=[version("V1", "not comparable", 2)]),
        ]
    )
    (shown,) = [number.found for number in found if number.found]
    assert shown.folder == "middle"


def test_a_row_says_theirs_ours_the_difference_and_what_must_be_known(tmp_path: Path) -> None:
    row = version("V1", "not comparable", 2, against="width 1/8", note=NOTES.removeprefix("width 1/8; "))
    found = numbers.numbers([folder(tmp_path / "a", [{**VGG, "strategy": "standalone"}], errors=[row])])
    (number,) = [one for one in found if one.found]
    cells = words.number_row(number)
    assert cells == ["CIFAR-10, VGG-11, Standalone", "64.4", "47.9", "2", "46.8 to 48.9", "-16.5"]
    assert words.outcome(number) == "undecided"
    assert number.found and number.found.caveat == (
        "partial: 2 of 3 seeds; narrow: width 1/8; cut short: 8 rounds (authors' script: 502)"
    )


def test_a_line_that_never_arrives_is_undecided_and_says_so(tmp_path: Path) -> None:
    row = single(10, 94.57, beside.NOT_REACHED, n_seeds=0, absent=2) | {"mean": math.nan}
    found = numbers.numbers([folder(tmp_path / "a", [MLP], beside=[row])])
    (number,) = [one for one in found if one.found]
    assert number.found and number.found.caveat == "partial: 2 of 3 seeds; not reached by 2 of 2 seeds"
    assert number.outcome == "undecided" and words.number_row(number)[2] == words.number_row(number)[5] == "–"


@pytest.mark.parametrize(
    ("said", "there", "caveat"),
    [
        ([""], 3, ""),
        (["missing seeds: 1"], 2, "partial: 2 of 3 seeds"),
        (["width 1/8", "width 1/8"], 3, "narrow: width 1/8"),
        (["width 2"], 3, "width 2"),
        (["600 rounds (authors' script: 502)"], 3, "600 rounds (authors' script: 502)"),
        (["data: local copy, not verified"], 3, "data: local copy, not verified"),
    ],
)
def test_caveats(said: list[str], there: int, caveat: str) -> None:
    assert folders.caveats(said, there, 3) == caveat


def test_open_numbers_say_why(tmp_path: Path) -> None:
    queued = folder(tmp_path / "waits", [{**VGG, "strategy": "standalone"}])
    rows = {tuple(row[:2]): row[2:] for row in words.open_rows(numbers.numbers([queued])) if "waits" in row[4]}
    assert rows["paper", "CIFAR-10, VGG"] == ["4", "64.4 to 65.6", "queued, not run yet: waits"]
    every = words.open_rows(numbers.numbers([]))
    assert ["paper", "CINIC-10, VGG", "20", "44.4 to 68.2", "in no queue"] in every
    (flower,) = [row for row in every if row[1] == "accuracy [%], MNIST, CNN, IID"]
    assert flower[2:4] == ["12", "98.46 to 99.54"] and "batch normalisation" in flower[4]


# Claims


def order(protocol: str, n_seeds: int, difference: float, half: float, verdict: str) -> dict[str, Any]:
    """A row of `comparisons.csv`."""
    about = {**VGG, "protocol": protocol, "higher": "max_common", "lower": "clustered_fl", "n_seeds": n_seeds}
    ends = {"ci95_low": difference - half, "ci95_high": difference + half}
    return {**about, "difference": difference, **ends, "verdict": verdict}


def test_a_claim_is_shown_where_there_is_an_interval_and_most_rounds_whatever_it_says(tmp_path: Path) -> None:
    def results(name: str, rounds: int, *row: Any) -> Folder:
        lines = [{**VGG, "strategy": strategy} for strategy in ("max_common", "clustered_fl")]
        first = [{**line, "version": "mean", "note": NOTES} for line in lines]
        return folder(tmp_path / name, lines, rounds, comparisons=[order("official", *row)], table1=first)

    read = [
        results("a", 8, 3, -3.0, 1.0, "contradicted"),
        results("b", 4, 3, 4.0, 1.0, "holds"),
        results("c", 60, 1, 4.0, math.nan, "one seed"),
        results("d", 90, 0, math.nan, math.nan, "missing"),
    ]
    claim = claims.claims(read)[0]
    assert [found.folder for found in claim.evidence] == ["a", "b", "c"]
    assert claim.verdict == "contradicted" and claim.queued == ("a", "b", "c", "d")
    assert words.elsewhere(claim) == "1 holds, 1 one seed"
    cells = words.claim_row(claim, claim.evidence[0])
    assert cells == [
        "Max-Common ends above Clustered-FL (paper)",
        "CIFAR-10, VGG, protocol official",
        "-3.00",
        "3",
        "-4.00 to -2.00",
    ]
    assert "narrow: width 1/8" in words.claim_caveat(claim, claim.evidence[0])


def claim_about(found: Sequence[claims.Claim], about: str, higher: str) -> claims.Claim:
    (claim,) = [one for one in found if (one.about, one.higher) == (about, higher)]
    return claim


def test_seconds_count_for_settings_of_the_strategy_under_another_name(tmp_path: Path) -> None:
    where = {"dataset": "femnist", "family": "cnn", "protocol": "phones"}
    row = {**where, "strategy": "mine", "n_pairs": 3, "not_reached": 0, "times_as_fast": 2.0, "verdict": "holds"}
    row |= {"times_ci95_low": 1.9, "times_ci95_high": 2.1}
    lines = [{**where, "strategy": name} for name in ("mine", "fedavg")]
    claim = claim_about(claims.claims([folder(tmp_path / "a", lines, seconds=[row])]), published.TIME, "oort")
    assert claim.verdict == "holds" and claim.range == (1.2, 14.1)
    cells = words.claim_row(claim, claim.evidence[0])
    assert cells[1:] == ["FEMNIST, CNN, protocol phones; Mine", "2.00 ×", "3", "1.90 to 2.10"]


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        ("lowers", Verdict.HOLDS),
        ("raises", Verdict.CONTRADICTED),
        ("not resolved", Verdict.NOT_RESOLVED),
        ("none", Verdict.MISSING),
    ],
)
def test_a_lower_variance_bears_the_claim_out(tmp_path: Path, outcome: str, verdict: str) -> None:
    where = {"dataset": "mnist", "family": "logistic", "protocol": "p"}
    row = {**where, "strategy": "q_fedavg", "n_pairs": 3, "variance_less_base": -9.0, "variance_outcome": outcome}
    row |= {"variance_less_base_low": -12.0, "variance_less_base_high": -6.0}
    lines = [{**where, "strategy": name} for name in ("q_fedavg", "fedavg")]
    claim = claim_about(claims.claims([folder(tmp_path / "a", lines, fairness=[row])]), published.VARIANCE, "fedavg")
    assert claim.verdict == verdict
    if claim.evidence:
        assert words.claim_row(claim, claim.evidence[0])[2:] == ["+9.00", "3", "6.00 to 12.00"]


def test_a_gain_in_its_range_says_so_and_a_target_not_reached_has_no_ratio(tmp_path: Path) -> None:
    lines = [{**VGG, "strategy": strategy} for strategy in ("max_common", "clustered_fl")]
    gain = {**VGG, "version": "mean", "claim": "gain", "n_seeds": 3, "not_reached": 0, "verdict": "holds"}
    gain |= {"value": 5.0, "ci95_low": 4.0, "ci95_high": 6.0, "beside_paper": "in"}
    speed = {**gain, "claim": "speed", "n_seeds": 0, "not_reached": 2, "verdict": "not reached", "value": math.nan}
    speed |= {"ci95_low": math.nan, "ci95_high": math.nan, "beside_paper": "not reached"}
    found = claims.claims([folder(tmp_path / "a", lines, headline=[gain, speed])])
    first = claim_about(found, published.GAIN, "max_common")
    assert words.judged(first, first.evidence[0]) == "holds, in the claimed range"
    second = claim_about(found, published.SPEED, "max_common")
    assert words.claim_row(second, second.evidence[0])[2:] == ["–", "0", "–"]
    assert words.claim_caveat(second, second.evidence[0]) == "not reached in 2 seeds"


def test_a_claim_that_nothing_was_run_for_is_open() -> None:
    for claim in claims.claims([]):
        assert words.judged(claim, None) == "open" and claim.verdict == "missing"
        assert "queued, not run yet: nowhere" in words.claim_caveat(claim, None)


# Rendered


@pytest.fixture(scope="module")
def found() -> list[numbers.Number]:
    return numbers.numbers(folders.read(generated.REFERENCE))


@pytest.fixture(scope="module")
def board(found: list[numbers.Number]) -> str:
    return text.board(found, claims.claims(folders.read(generated.REFERENCE)))


def test_every_link_of_the_board_leads_to_cells_that_are_there(board: str) -> None:
    links = re.findall(r"\]\(([^)h][^)]*)\)", board)
    assert links and all((generated.REFERENCE / link).is_dir() for link in set(links))


def test_the_board_has_a_row_for_every_number_with_a_line_and_counts_the_others(
    found: list[numbers.Number], board: str
) -> None:
    for number in found:
        if number.found:
            assert f"| {number.what} | {number.value} |" in board
    listed = sum(int(row[2]) for row in words.open_rows(found))
    assert listed + sum(number.outcome != numbers.OPEN for number in found) == len(found)
    assert words.total(found).startswith(f"Of {len(found)} published numbers: ")


def test_the_page_holds_the_same_and_asks_for_nothing(tmp_path: Path) -> None:
    out = tmp_path / "below/board.html"
    page.render(generated.REFERENCE, out)
    html = out.read_text()
    assert html.count("<table") > 5 and "default-src &#39;none&#39;" in html
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", html)
    for href in set(re.findall(r'href="([^"#h][^"]*)"', html)):
        assert (out.parent / href).resolve().is_dir()
    assert "Oort is 1.2 to 14.1 times as fast as FedAvg" in html
