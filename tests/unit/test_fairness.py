"""Fairness among clients: measures by hand, differences paired by seed, and who is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from flexifed import report
from flexifed.analysis import fairness, tables
from flexifed.report import Sources
from flexifed.report import fairness as section
from flexifed.report.parts import Grid, Points
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber, Protocol
from tests.unit import results
from tests.unit.results import PROTOCOL, write_study

TESTED = replace(PROTOCOL, tested="all")
BASE = tuple(10.0 * i for i in range(1, 11))
"""Percent of ten clients: mean 55, variance 825, worst 10, best 100."""
EVEN = tuple(50.0 + i for i in range(1, 11))
"""Mean 55.5, variance 8.25, worst 51, best 60."""


def cell(strategy: str, seed: int) -> Cell:
    return Cell("cifar10", "vgg", strategy, "official", seed)


def study(
    folder: Path,
    clients: Mapping[Cell, Sequence[float]],
    expected: Sequence[Cell] = (),
    protocol: Protocol = TESTED,
) -> pd.DataFrame:
    """`fairness.csv` of these clients' final numbers, all of one version, as it is read."""
    cells, _ = write_study(folder, {c: {"V1": tuple(values)} for c, values in clients.items()})
    fairness.write(cells, folder, expected=[*clients, *expected], protocols={"official": protocol})
    return tables.read(folder / "fairness.csv")


def two(seeds: int) -> dict[Cell, tuple[float, ...]]:
    """FedAvg and q-FedAvg; every seed is a point higher for its best client."""
    there = {cell("fedavg", seed): (*BASE[:-1], BASE[-1] - seed) for seed in range(seeds)}
    return there | {cell("q_fedavg", seed): EVEN for seed in range(seeds)}


def test_measures_of_ten_clients_by_hand() -> None:
    assert fairness.of_clients(pd.Series(BASE)) == pytest.approx(
        {"mean": 55.0, "variance": 825.0, "std": 825.0**0.5, "worst_tenth": 10.0, "best_tenth": 100.0}
    )


@pytest.mark.parametrize(("clients", "worst", "best"), [(1, 0.0, 0.0), (9, 0.0, 8.0), (19, 0.0, 18.0), (20, 0.5, 18.5)])
def test_a_tenth_is_rounded_down_and_at_least_one_client(clients: int, worst: float, best: float) -> None:
    found = fairness.of_clients(pd.Series(range(clients)).sample(frac=1.0, random_state=0))
    assert (found["worst_tenth"], found["best_tenth"]) == (worst, best)


def test_statistics_are_over_seeds_and_differences_within_them(tmp_path: Path) -> None:
    ours = study(tmp_path, two(3)).set_index("strategy").loc["q_fedavg"]
    base = tables.read(tmp_path / "fairness.csv").set_index("strategy").loc["fedavg"]
    each = [float(pd.Series((*BASE[:-1], 100.0 - seed)).var(ddof=0)) for seed in range(3)]
    half = 4.30265 * float(pd.Series(each).std()) / 3**0.5
    assert (base["n_seeds"], base["clients"], base["variance"]) == (3, 10, pytest.approx(sum(each) / 3, abs=1e-3))
    assert base["variance_ci95_high"] - base["variance"] == pytest.approx(half, abs=1e-2)
    assert ours["variance_less_base"] == pytest.approx(8.25 - sum(each) / 3, abs=1e-3)
    assert ours["variance_less_base_high"] - ours["variance_less_base"] == pytest.approx(half, abs=1e-2)
    assert (ours["n_pairs"], ours["variance_outcome"]) == (3, "lowers")
    assert (ours["worst_tenth_less_base"], ours["worst_tenth_outcome"]) == (pytest.approx(41.0), "not resolved")
    assert (base["n_pairs"], base["variance_outcome"]) == (0, "")


def test_one_seed_is_no_verdict_and_a_missing_line_has_no_number(tmp_path: Path) -> None:
    found = study(tmp_path, two(1), [cell("oort", 0), cell("q_fedavg", 1)]).set_index("strategy")
    assert found.loc["q_fedavg", "variance_outcome"] == "one seed"
    assert found.loc["q_fedavg", "note"] == "missing seeds: 1"
    assert found.loc["oort", "n_seeds"] == 0
    assert found.loc["oort", fairness.MEASURES].isna().all()


@pytest.mark.parametrize("change", [{"tested": "participants"}, {"test_set": "whole"}])
def test_only_where_everybody_is_tested_on_their_own_samples(tmp_path: Path, change: Mapping[str, str]) -> None:
    assert study(tmp_path, two(1), protocol=replace(TESTED, **change)).empty  # type: ignore[arg-type]


def test_areas_of_all_clients_together_are_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "task", lambda name: "click_through")
    assert study(tmp_path, two(1)).empty


def test_every_client_counts_after_aggregation_whatever_the_tables_take(tmp_path: Path) -> None:
    """By `write_cell` the test before aggregation is 5 points lower; `first` would leave one client."""
    final = FinalNumber(phase="local", clients="first")
    found = study(tmp_path, {cell("fedavg", 0): BASE}, protocol=replace(TESTED, final=final)).iloc[0]
    assert (found["clients"], found["mean"]) == (10, pytest.approx(55.0))


# In the report


def test_the_report_says_who_is_more_even(tmp_path: Path) -> None:
    there = two(3)
    study(tmp_path, there, [cell("oort", 0)])
    results.write_tables(tmp_path, list(there), {"official": TESTED}, tmp_path)
    sources = Sources("s", tmp_path, tmp_path / "runs.parquet", [], list(there), has_fairness=True)
    told, grid = section.section(sources).parts
    assert isinstance(told, Points) and isinstance(grid, Grid)
    assert told.items[0].startswith("More even than FedAvg: q-FedAvg, variance -807.9 (-8")
    assert len(told.items) == 1
    assert grid.rows[0][:3] == ["FedAvg", "54.9 ± 0.2", "10.0 ± 0.0"]
    assert grid.rows[0][6:] == ["–", "–", "3"]
    assert grid.rows[1][6].startswith("▼ -807.9 ± ") and grid.rows[1][7].startswith("+41.0")
    assert grid.rows[2] == ["Oort", "missing", *["–"] * 6, "0"]
    assert grid.notes == ["10 clients"]
    report.render(sources, tmp_path / "report.html")
    assert "How evenly accuracy is spread" in (tmp_path / "report.html").read_text()


def test_nothing_resolved_and_nothing_to_compare_are_told_apart(tmp_path: Path) -> None:
    alone = study(tmp_path / "alone", {cell("q_fedavg", 0): EVEN})
    assert section.claims(alone) == ["Nothing to compare: no other strategy has a seed in common with FedAvg."]
    same = study(tmp_path / "same", two(3) | {cell("q_fedavg", seed): BASE for seed in range(3)})
    assert section.claims(same) == ["No strategy is told from FedAvg, neither by variance nor by the worst tenth."]


def test_without_such_a_protocol_there_is_no_section() -> None:
    assert section.section(Sources("s", Path(), Path(), [], [])).parts == []
