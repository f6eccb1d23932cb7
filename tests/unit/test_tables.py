"""Tables: final numbers and statistics worked by hand, and never a number where a cell is missing."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from flexifed.analysis import finals, published, table3, tables, typeset
from flexifed.analysis.collect import read_runs
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber, Partition, Protocol
from flexifed.system.errors import UserError
from tests.unit.results import FOUR, PROTOCOL, write_study, write_tables


def cell(strategy: str, seed: int = 1, dataset: str = "cifar10") -> Cell:
    return Cell(dataset, "vgg", strategy, "official", seed)


def table1(cells: Path, runs: Path, expected: list[Cell], protocol: Protocol = PROTOCOL) -> pd.DataFrame:
    protocols = {"official": protocol}
    return tables.table1(finals.final_numbers(cells, protocols), read_runs(runs), expected, protocols)


def line(table: pd.DataFrame, strategy: str, version: str) -> pd.Series:
    (index,) = table.index[(table["strategy"] == strategy) & (table["version"] == version)]
    return table.loc[index]


# The final number of a curve


def curve(values: list[float], client: int = 0) -> pd.DataFrame:
    one = {
        "dataset": "d",
        "family": "f",
        "strategy": "s",
        "protocol": "p",
        "seed": 1,
        "version": "V1",
        "client": client,
    }
    return pd.DataFrame([{**one, "round": i, "value": value} for i, value in enumerate(values, start=1)])


@pytest.mark.parametrize(
    ("final", "expected"),
    [
        (FinalNumber(rule="last"), 0.4),
        (FinalNumber(rule="best"), 0.9),
        (FinalNumber(rule="last_rounds", rounds=2), 0.5),
        (FinalNumber(rule="last_rounds", rounds=50), 0.5),
        (FinalNumber(rule="last_fraction", fraction=0.1), 0.4),
        (FinalNumber(rule="last_fraction", fraction=0.75), (0.9 + 0.6 + 0.4) / 3),
    ],
)
def test_rules_of_the_final_number(final: FinalNumber, expected: float) -> None:
    (value,) = finals.reduce_curve(curve([0.1, 0.9, 0.6, 0.4]), final, rounds=4)["value"]
    assert value == pytest.approx(expected)


def test_a_version_may_be_read_from_its_first_client_alone() -> None:
    """Clients 2 and 3 hold V2: the first of a version is the one with the lowest number, not client 0."""
    parts = [curve([low, high]).assign(client=c, version=v) for c, v, low, high in (
        (0, "V1", 0.1, 0.2), (1, "V1", 0.9, 0.8), (3, "V2", 0.7, 0.6), (2, "V2", 0.3, 0.5),
    )]  # fmt: skip
    best = finals.reduce_curve(pd.concat(parts), FinalNumber(rule="best", clients="first"), rounds=2)
    assert best.set_index("client")["value"].to_dict() == {0: 0.2, 2: 0.5}


def test_a_window_counts_rounds_not_evaluations() -> None:
    sparse = curve([0.1, 0.9, 0.6, 0.4]).assign(round=[10, 20, 30, 40])
    (value,) = finals.reduce_curve(sparse, FinalNumber(rule="last_rounds", rounds=11), rounds=40)["value"]
    assert value == pytest.approx(0.5)


def test_a_client_that_is_absent_at_the_end_is_not_counted_with_an_earlier_model() -> None:
    """Client 0 takes part in rounds 1 and 2 of three, client 1 in round 3."""
    curves = pd.concat([curve([0.1, 0.2]), curve([0.8], client=1).assign(round=3)], ignore_index=True)
    found = finals.reduce_curve(curves, FinalNumber(rule="last"), rounds=3)
    assert found[["client", "value"]].to_numpy().tolist() == [[1, 0.8]]


def test_rounding_comes_before_the_mean() -> None:
    curves = curve([0.604, 0.606])
    rounded = FinalNumber(rule="last_rounds", rounds=2, decimals=2)
    assert finals.reduce_curve(curves, rounded, rounds=2)["value"].item() == pytest.approx((0.60 + 0.61) / 2)


def test_mean_over_clients_then_over_versions(tmp_path: Path) -> None:
    """Versions weigh the same, however many clients they have."""
    cells, _ = write_study(tmp_path, {cell("standalone"): {"V1": (60.0, 70.0), "V2": 80.0}})
    numbers = finals.final_numbers(cells, {"official": PROTOCOL}).set_index("version")["final"]
    assert numbers.to_dict() == pytest.approx({"V1": 65.0, "V2": 80.0, "mean": 72.5})


def test_phase_and_mode_are_the_protocols(tmp_path: Path) -> None:
    cells, _ = write_study(tmp_path, {cell("standalone"): {"V1": 60.0, "V2": 70.0}})

    def mean(**final: str) -> float:
        protocols = {"official": replace(PROTOCOL, final=FinalNumber(**final))}  # type: ignore[arg-type]
        return float(finals.final_numbers(cells, protocols).set_index("version").loc["mean", "final"])

    assert mean(phase="local") == pytest.approx(60.0)
    assert mean(mode="train") == pytest.approx(63.0)
    with pytest.raises(UserError, match=r"protocols\.official\.final: .* after aggregation only"):
        mean(phase="local", mode="train")


# Table 1


def test_table1_by_hand(tmp_path: Path) -> None:
    """The mean over versions is taken within a seed: seeds 61 and 63, although V1 alone has 60 and 62."""
    study = {cell("standalone", 1): {"V1": 60.0, "V2": 62.0}, cell("standalone", 2): {"V1": 62.0, "V2": 64.0}}
    table = table1(*write_study(tmp_path, study), list(study))
    assert ",".join(table.columns) == (
        "dataset,family,strategy,protocol,version,n_seeds,mean,std,ci95_low,ci95_high,paper,delta,note"
    )
    first = line(table, "standalone", "V1")
    assert (first["n_seeds"], first["mean"], first["paper"]) == pytest.approx((2, 61.0, 64.4))
    assert first["delta"] == pytest.approx(61.0 - 64.4)
    assert first["ci95_high"] == pytest.approx(61 + 12.706, abs=1e-3)
    mean = line(table, "standalone", "mean")
    assert (mean["mean"], mean["paper"]) == pytest.approx((62.0, (64.4 + 64.8) / 2))
    assert first["note"] == "2 rounds (authors' script: 502)"


def test_lines_are_in_study_order_and_strategies_in_the_papers(tmp_path: Path) -> None:
    strategies = ["max_common", "mine", "clustered_fl", "standalone", "another"]
    study = {cell(s, dataset=d): {"V1": 1.0, "V2": 2.0} for d in ("digits", "cifar10") for s in strategies}
    order = [(row.dataset, row.strategy) for row in finals.rows(list(study))]
    ranked = ["standalone", "clustered_fl", "max_common", "mine", "another"]
    assert order == [(d, s) for d in ("digits", "cifar10") for s in ranked]


def test_a_missing_line_is_never_a_number(tmp_path: Path) -> None:
    study = {cell("standalone"): {"V1": 60.0, "V2": 62.0}}
    table = table1(*write_study(tmp_path, study), [cell("standalone"), cell("standalone", 2), cell("max_common")])
    absent = line(table, "max_common", "V1")
    assert (absent["n_seeds"], absent["note"]) == (0, "missing")
    assert absent[["mean", "std", "ci95_low", "ci95_high", "paper", "delta"]].isna().all()
    assert "missing seeds: 2" in line(table, "standalone", "V1")["note"]


def test_a_study_without_a_single_cell_is_all_missing(tmp_path: Path) -> None:
    cells, runs = write_study(tmp_path, {})
    tables.write(cells, runs, tmp_path, expected=[cell("standalone")], protocols={"official": PROTOCOL})
    assert set(tables.read(tmp_path / "table1.csv")["note"]) == {"missing"}
    assert "| Standalone | missing | missing | missing |" in (tmp_path / "table1.md").read_text()


@pytest.mark.parametrize(
    ("settings", "protocol", "note"),
    [
        ({"width": 0.125}, PROTOCOL, "width 1/8"),
        ({"verified": False}, PROTOCOL, "data: local copy, not verified"),
        ({}, replace(PROTOCOL, partition=Partition(partitioner="dirichlet")), "partition dirichlet"),
        ({}, replace(PROTOCOL, final=FinalNumber(phase="local")), "measured before aggregation"),
        ({}, replace(PROTOCOL, classifier="all"), "classifier averaged across versions"),
        ({}, replace(PROTOCOL, common_layers=4), "at most 4 layers in common"),
    ],
)
def test_what_differs_from_the_paper_is_never_set_beside_it(
    tmp_path: Path, settings: dict[str, float], protocol: Protocol, note: str
) -> None:
    study = {cell("standalone"): {"V1": 60.0, "V2": 62.0}}
    table = table1(*write_study(tmp_path, study, **settings), list(study), protocol)
    assert table[["paper", "delta"]].isna().all(axis=None)
    assert table["note"].str.contains(note, regex=False).all()
    assert table["mean"].notna().all()


def test_options_of_a_data_set_are_noted_and_not_comparable(tmp_path: Path) -> None:
    study = {cell("standalone", dataset="cinic10"): {"V1": 60.0, "V2": 62.0}}
    table = table1(*write_study(tmp_path, study, data_options={"train": "train+valid"}), list(study))
    assert table["paper"].isna().all()
    assert table["note"].str.startswith("data set with train train+valid").all()


def test_a_data_set_the_paper_does_not_have_has_no_paper_number(tmp_path: Path) -> None:
    study = {cell("standalone", dataset="digits"): {"V1": 60.0, "V2": 62.0}}
    assert table1(*write_study(tmp_path, study), list(study))["paper"].isna().all()


def test_text_of_table1(tmp_path: Path) -> None:
    study = {cell("standalone", seed): {"V1": 60.0 + seed, "V2": 62.0} for seed in (1, 2, 3)}
    cells, runs = write_study(tmp_path, study)
    expected = [*study, cell("max_common")]
    tables.write(cells, runs, tmp_path, expected=expected, protocols={"official": PROTOCOL})
    markdown, latex = (tmp_path / "table1.md").read_text(), (tmp_path / "table1.tex").read_text()
    assert "## CIFAR-10, VGG, protocol official (0 to 3 seeds)" in markdown
    assert "| strategy | VGG-11 | VGG-13 | mean |" in markdown
    assert "| Standalone | 62.0 ± 2.5 | 62.0 ± 0.0 | 62.0 ± 1.2 |" in markdown  # 4.303 / sqrt(3) = 2.48
    assert "| *paper* | *64.4* | *64.8* | *64.6* |" in markdown
    assert "| *delta* | *-2.4* | *-2.8* | *-2.6* |" in markdown
    assert "| Max-Common | missing | missing | missing |" in markdown
    assert r"Standalone & 62.0 $\pm$ 2.5 & 62.0 $\pm$ 0.0 & 62.0 $\pm$ 1.2 \\" in latex
    assert latex.count("\\begin{tabular}") == latex.count("\\bottomrule") == 1


def test_notes_name_strategies_only_where_they_differ(tmp_path: Path) -> None:
    study = {cell(s, seed): {"V1": 60.0, "V2": 62.0} for s in ("standalone", "max_common") for seed in (1, 2)}
    del study[cell("max_common", 2)]
    cells, runs = write_study(tmp_path, study, width=0.125)
    expected = [cell(s, seed) for s in ("standalone", "basic_common", "max_common") for seed in (1, 2)]
    found = typeset.notes(table1(cells, runs, expected))
    assert found[:2] == ["width 1/8", "2 rounds (authors' script: 502)"]
    assert found[2:] == ["Basic-Common: missing", "Max-Common: missing seeds: 2"]


# The other tables


def test_phases_by_hand(tmp_path: Path) -> None:
    study = {cell("standalone", seed): {"V1": 60.0, "V2": 62.0} for seed in (1, 2)}
    cells, _ = write_study(tmp_path, study)
    (row,) = tables.phases(cells, [*study], {"official": PROTOCOL}).to_dict("records")
    assert (row["n_seeds"], row["aggregated"], row["local"], row["train_mode"]) == pytest.approx((2, 61, 56, 59))
    assert (row["difference"], row["difference_ci95_low"], row["difference_ci95_high"]) == pytest.approx((5, 5, 5))


def test_comparisons_are_paired_by_seed(tmp_path: Path) -> None:
    """Seeds differ by 10 points, strategies by 1 within each seed: resolved, although the two intervals overlap."""
    study = {cell("standalone", s): {"V1": 10.0 * s, "V2": 10.0 * s} for s in (1, 2, 3)}
    study |= {cell("basic_common", s): {"V1": 10.0 * s + 1, "V2": 10.0 * s + 1 + s / 100} for s in (1, 2, 3)}
    cells, _ = write_study(tmp_path, study)
    numbers = finals.final_numbers(cells, {"official": PROTOCOL})
    (row,) = tables.comparisons(numbers, list(study)).to_dict("records")
    assert (row["higher"], row["lower"], row["n_seeds"]) == ("basic_common", "standalone", 3)
    assert row["difference"] == pytest.approx(1.01)
    assert row["verdict"] == "holds"


def test_every_ordering_of_a_block_with_missing_cells_has_a_line(tmp_path: Path) -> None:
    """Max-Common lacks a seed, Basic-Common all; Standalone is not of the study."""
    strategies = ("basic_common", "clustered_common", "clustered_fl", "max_common")
    expected = [cell(strategy, seed) for strategy in strategies for seed in (1, 2)]
    there = [
        one for one in expected if one.strategy != "basic_common" and (one.strategy, one.seed) != ("max_common", 2)
    ]
    cells, runs = write_study(tmp_path, {one: {"V1": 60.0 + one.seed, "V2": 62.0} for one in there})
    tables.write(cells, runs, tmp_path, expected=expected, protocols={"official": PROTOCOL})
    table = tables.read(tmp_path / "comparisons.csv").set_index(["higher", "lower"])
    assert table["verdict"].to_dict() == {
        ("max_common", "clustered_fl"): "one seed",
        ("max_common", "clustered_common"): "one seed",
        ("clustered_common", "clustered_fl"): "not resolved",
        ("clustered_common", "basic_common"): "missing",
    }
    assert list(table["n_seeds"]) == [1, 1, 2, 0]
    numbers = table[["difference", "ci95_low", "ci95_high"]]
    assert numbers.loc[("clustered_common", "basic_common")].isna().all()
    assert numbers.loc[("max_common", "clustered_common"), ["ci95_low", "ci95_high"]].isna().all()


def test_the_papers_orderings_are_those_of_every_block_of_its_table() -> None:
    paper = published.table1()[published.table1()["source"] == published.PAPER]
    means = paper.groupby(["dataset", "family", "strategy"])["accuracy_percent"].mean().unstack("strategy")
    assert len(means) == 8
    claims = published.claims()
    of_paper = claims[(claims["source"] == published.PAPER) & (claims["about"] == published.ORDER)]
    assert len(of_paper) == 6
    for higher, lower in of_paper[["higher", "lower"]].itertuples(index=False):
        assert (means[higher] > means[lower]).all(), (higher, lower)


def around(mean: float) -> dict[str, float]:
    """Accuracies of the paper's four versions."""
    return dict(zip(FOUR.versions, (mean - 1, mean + 1, mean - 2, mean + 2), strict=True))


def test_table3_has_a_line_for_each_protocol(tmp_path: Path) -> None:
    protocols = {"official": FOUR, "shared": replace(FOUR, classifier="all")}
    study = {Cell("cifar10", "vgg", "max_common", name, 1): around(82.0) for name in protocols}
    cells, runs = write_study(tmp_path, study)
    table = table3.lines(finals.final_numbers(cells, protocols), read_runs(runs), list(study), protocols)
    found = table[["protocol", "classifier", "mean", "paper"]].to_numpy().tolist()
    assert found == [
        ["official", "same_architecture", pytest.approx(82.0), 85.10],
        ["shared", "all", pytest.approx(82.0), 83.55],
    ]


def test_a_mean_over_some_versions_is_not_set_beside_table3(tmp_path: Path) -> None:
    study = {Cell("cifar10", "vgg", "max_common", "official", 1): {"V1": 80.0, "V2": 84.0}}
    cells, runs = write_study(tmp_path, study)
    protocols = {"official": PROTOCOL}
    (row,) = table3.lines(finals.final_numbers(cells, protocols), read_runs(runs), list(study), protocols).itertuples()
    assert (row.mean, row.note) == (pytest.approx(82.0), "mean over V1 V2 (Table 3: over all four)")
    assert math.isnan(row.paper)


def test_max_common_with_a_limit_on_common_layers_is_not_set_beside_table3(tmp_path: Path) -> None:
    protocols = {"official": replace(FOUR, common_layers=4)}
    study = {Cell("cifar10", "vgg", "max_common", "official", 1): around(82.0)}
    cells, runs = write_study(tmp_path, study)
    (row,) = table3.lines(finals.final_numbers(cells, protocols), read_runs(runs), list(study), protocols).itertuples()
    assert row.note == "at most 4 layers in common"
    assert math.isnan(row.paper)


def test_table3_differences_are_paired_by_seed_between_protocols_that_differ_in_the_classifier_alone(
    tmp_path: Path,
) -> None:
    """Seeds differ by 10 points, the difference by 0.2; `other` differs in its rounds as well and is left alone."""
    protocols = {
        "within": FOUR,
        "across": replace(FOUR, classifier="all"),
        "other": replace(FOUR, classifier="none", rounds=1),
    }
    values = {"within": (72.0, 81.9, 62.1), "across": (70.0, 80.0, 60.0), "other": (50.0, 50.0, 50.0)}
    study = {
        Cell("cifar10", "vgg", "max_common", name, seed): around(value)
        for name, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    }
    cells, runs = write_study(tmp_path, study)
    tables.write(cells, runs, tmp_path, expected=list(study), protocols=protocols)
    (row,) = tables.read(tmp_path / "table3_differences.csv").to_dict("records")
    assert (row["protocol"], row["across"], row["classifier"]) == ("within", "across", "same_architecture")
    half = 4.3027 * 0.1 / math.sqrt(3)
    assert (row["n_seeds"], row["verdict"]) == (3, "holds")
    assert row["difference"] == pytest.approx(2.0)
    assert (row["ci95_low"], row["ci95_high"]) == pytest.approx((2 - half, 2 + half), abs=1e-3)
    assert row["paper"] == pytest.approx(85.10 - 83.55)


def test_a_table3_difference_of_narrow_models_has_no_paper_number_and_one_seed_no_interval(tmp_path: Path) -> None:
    protocols = {"within": FOUR, "across": replace(FOUR, classifier="all")}
    study = {Cell("cifar10", "vgg", "max_common", name, 0): around(61.0) for name in protocols}
    cells, runs = write_study(tmp_path, study, width=0.125)
    tables.write(cells, runs, tmp_path, expected=list(study), protocols=protocols)
    (row,) = tables.read(tmp_path / "table3_differences.csv").to_dict("records")
    assert (row["n_seeds"], row["difference"], row["verdict"]) == (1, 0, "one seed")
    assert all(math.isnan(row[name]) for name in ("ci95_low", "ci95_high", "paper"))


def test_published_means() -> None:
    table = published.means([cell("standalone")], {"official": Protocol()})
    assert set(table["family"]) == {"vgg"}
    assert set(table["dataset"]) == {"cifar10"}
    means = table.set_index(["source", "strategy"])["mean"]
    assert means["paper", "standalone"] == pytest.approx((64.4 + 64.8 + 65.2 + 65.6) / 4)
    assert means["2006wzt/FlexiFed-IMP", "max_common"] == pytest.approx(82.9, abs=0.06)


def test_published_means_are_over_the_versions_of_the_protocol() -> None:
    """Where a source lacks one of them, it has no mean."""
    protocols = {"all": Protocol(), "two": PROTOCOL, "none": replace(PROTOCOL, versions=("V1", "V9"))}
    table = published.means([replace(cell("standalone"), protocol=name) for name in protocols], protocols)
    means = table.set_index(["protocol", "source", "strategy"])["mean"]
    assert means["all", "paper", "standalone"] == pytest.approx((64.4 + 64.8 + 65.2 + 65.6) / 4)
    assert means["two", "paper", "standalone"] == pytest.approx((64.4 + 64.8) / 2)
    assert set(table["protocol"]) == {"all", "two"}


# Reading


@pytest.mark.parametrize("name", ["24", "None", "1e3", "NA", "010"])
def test_a_protocol_may_be_called_anything(tmp_path: Path, name: str) -> None:
    one = replace(cell("standalone"), protocol=name)
    write_study(tmp_path, {one: {"V1": 60.0, "V2": 62.0}})
    write_tables(tmp_path, [one], {name: PROTOCOL}, tmp_path)
    for table in ("table1", "costs", "errors", "published"):
        assert set(tables.read(tmp_path / f"{table}.csv")["protocol"]) == {name}, table


def test_columns_of_words_are_known(tmp_path: Path) -> None:
    """A column of text that is not in `WORDS` would be read by its content."""
    there = {cell(s): {"V1": 60.0, "V2": 62.0} for s in ("clustered_fl", "max_common")}
    write_study(tmp_path, there)
    write_tables(tmp_path, [*there], {"official": PROTOCOL}, tmp_path)
    for path in tmp_path.glob("*.csv"):
        table = pd.read_csv(path)
        words = {name for name in table if any(isinstance(value, str) for value in table[name])}
        assert words <= tables.WORDS, path.name


def test_what_is_empty_is_no_word_and_no_number(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("protocol,level,mean,note\n24,24,,\n")
    (row,) = tables.read(tmp_path / "table.csv", "level").to_dict("records")
    assert (row["protocol"], row["level"], row["note"]) == ("24", "24", "")
    assert math.isnan(row["mean"])


def test_a_delta_that_rounds_to_zero_has_no_minus(tmp_path: Path) -> None:
    study = {cell("standalone"): {"V1": 64.38, "V2": 64.8}}
    table = table1(*write_study(tmp_path, study), list(study))
    (*_, deltas) = typeset.block_rows(table)
    assert deltas[:2] == ["delta", "+0.0"]


@pytest.mark.parametrize(("family", "said"), [("vgg", True), ("cnn", False)])
def test_what_concerns_the_papers_protocol_is_said_of_its_families_only(
    tmp_path: Path, family: str, said: bool
) -> None:
    shards = replace(Protocol(versions=("V1",)), rounds=50, partition=Partition(partitioner="shards"))
    of_family = Cell("mnist", family, "fedavg", "shards", 0)
    cells, runs = write_study(tmp_path, {of_family: {"V1": 60.0}})
    tables.write(cells, runs, tmp_path, expected=[of_family], protocols={"shards": shards})
    text = (tmp_path / "table1.md").read_text()
    assert ("authors' script" in text) == ("Table 1 is IID" in text) == said
