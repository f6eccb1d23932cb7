"""Effects: differences within a seed worked by hand and against scipy, and never a number or a claim without runs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.figure import Figure
from scipy import stats

from flexifed import generated
from flexifed.analysis import effects, effects_text, tables
from flexifed.analysis.effects import Effect
from flexifed.analysis.titles import STRATEGIES
from flexifed.figures import effects as effects_figure
from flexifed.figures import style
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber
from flexifed.study import config
from tests.unit.results import PROTOCOL, cut_off, write_study

PROTOCOLS = dict.fromkeys(("base", "few", "shared", "few_shared"), PROTOCOL)
FEW = Effect("data", "few images", "few", "base", PROTOCOL.final)
SHARED = Effect("classifier", "never shared", "shared", "base", PROTOCOL.final)
PAIR = Effect("pair", "few, never shared", "few_shared", "base", PROTOCOL.final, ("few images", "never shared"))
LOCAL = Effect("moment", "before aggregation", "base", "base", replace(PROTOCOL.final, phase="local"))


def cell(protocol: str, seed: int, strategy: str = "max_common") -> Cell:
    return Cell("cifar10", "vgg", strategy, protocol, seed)


def expected(seeds: int, strategies: tuple[str, ...] = ("max_common",)) -> list[Cell]:
    return [cell(p, seed, s) for p in PROTOCOLS for s in strategies for seed in range(seeds)]


def study(
    folder: Path, accuracy: dict[str, list[float]], named: list[Effect], strategy: str = "max_common"
) -> pd.DataFrame:
    """Summaries of a study of three seeds in which each protocol reached these accuracies; NaN was not run."""
    there = {
        cell(name, seed, strategy): {"V1": value - 1, "V2": value + 1}
        for name, values in accuracy.items()
        for seed, value in enumerate(values)
        if not math.isnan(value)
    }
    cells, _ = write_study(folder, there)
    return effects.summaries(effects.by_seed(cells, expected(3, (strategy,)), PROTOCOLS, named))


BASE, FEWER, NEVER, BOTH = [60.0, 70.0, 65.0], [56.0, 65.5, 61.5], [59.0, 69.5, 63.0], [55.0, 67.0, 59.5]


def test_an_effect_is_the_paired_difference_and_its_interval_scipys(tmp_path: Path) -> None:
    """Seeds differ by up to 10 points, the effect by half a point between seeds."""
    (row,) = study(tmp_path, {"base": BASE, "few": FEWER}, [FEW]).to_dict("records")
    paired = stats.ttest_rel(FEWER, BASE)
    interval = paired.confidence_interval(0.95)
    assert (row["quantity"], row["n_seeds"], row["outcome"]) == ("effect", 3, "lowers")
    assert row["difference"] == pytest.approx(-4.0)
    assert row["standard_error"] == pytest.approx(stats.sem(np.subtract(FEWER, BASE)))
    assert (row["ci95_low"], row["ci95_high"]) == pytest.approx((interval.low, interval.high))
    assert row["difference"] / row["standard_error"] == pytest.approx(paired.statistic)


def test_an_interaction_is_what_the_sum_of_the_effects_leaves(tmp_path: Path) -> None:
    table = study(tmp_path, {"base": BASE, "few": FEWER, "shared": NEVER, "few_shared": BOTH}, [FEW, SHARED, PAIR])
    assert list(table["quantity"]) == ["effect", "effect", "effect", "interaction"]
    row = table.iloc[3]
    left = [0.0, 2.0, 0.0]  # of -5.0, -3.0, -5.5, where -5.0, -5.0, -5.5 is the sum
    interval = stats.t.interval(0.95, 2, np.mean(left), stats.sem(left))
    assert (row["difference"], row["ci95_low"], row["ci95_high"]) == pytest.approx((np.mean(left), *interval))
    assert row["outcome"] == "not resolved"


def test_effects_that_add_up_have_no_interaction(tmp_path: Path) -> None:
    both = [few + never - base for base, few, never in zip(BASE, FEWER, NEVER, strict=True)]
    table = study(tmp_path, {"base": BASE, "few": FEWER, "shared": NEVER, "few_shared": both}, [FEW, SHARED, PAIR])
    assert table.iloc[3]["difference"] == pytest.approx(0)
    assert table.iloc[3]["outcome"] == "none"


def test_another_reading_of_the_bases_curves_needs_no_run_of_its_own(tmp_path: Path) -> None:
    """Made-up curves are 5 points lower before aggregation, the same in each seed, so nothing is claimed of chance."""
    best = Effect("final number", "mean of two rounds", "base", "base", FinalNumber(rule="last_rounds", rounds=2))
    table = study(tmp_path, {"base": BASE}, [LOCAL, best])
    assert list(table["difference"]) == pytest.approx([-5.0, -5.0])
    assert list(table["n_seeds"]) == [3, 3]
    assert set(table["outcome"]) == {"not resolved"}


def test_one_seed_has_a_difference_and_no_interval(tmp_path: Path) -> None:
    nan = math.nan
    table = study(tmp_path, {"base": [60.0, nan, nan], "few": [56.0, 65.0, nan]}, [FEW])
    (row,) = table.to_dict("records")
    assert (row["n_seeds"], row["difference"], row["outcome"]) == (1, pytest.approx(-4.0), "one seed")
    assert all(math.isnan(row[name]) for name in ("standard_error", "ci95_low", "ci95_high"))
    assert row["note"] == "missing seeds: 1, 2"
    text = " ".join(effects_text.claims(table))
    assert "No effect has an interval" in text and "lowers" not in text


def test_what_was_not_run_is_no_number(tmp_path: Path) -> None:
    table = study(tmp_path, {"base": BASE, "few": FEWER}, [FEW, SHARED, PAIR])
    absent = table.iloc[1:]
    assert list(absent["outcome"]) == ["not run"] * 3
    assert absent[["difference", "standard_error", "ci95_low", "ci95_high"]].isna().all(axis=None)
    assert list(absent["n_seeds"]) == [0, 0, 0]
    assert effects_text.claims(table)[-1] == "Not run: never shared (Max-Common); few, never shared (Max-Common)."


def test_an_interaction_has_the_seeds_of_all_its_parts(tmp_path: Path) -> None:
    short = [NEVER[0], NEVER[1], math.nan]
    table = study(tmp_path, {"base": BASE, "few": FEWER, "shared": short, "few_shared": BOTH}, [FEW, SHARED, PAIR])
    assert list(table["n_seeds"]) == [3, 2, 3, 2]
    assert table.iloc[3]["difference"] == pytest.approx(1.0)


def test_the_same_number_in_every_seed_is_no_effect_and_a_spread_of_zero_no_proof(tmp_path: Path) -> None:
    lower = [value - 2 for value in BASE]
    table = study(tmp_path, {"base": BASE, "few": BASE, "shared": lower}, [FEW, SHARED])
    assert list(table["outcome"]) == ["none", "not resolved"]
    assert effects_text.rows(table, "effect")[0] == ["data", "few images", "0 in every seed", "3"]


def test_strategies_in_the_papers_order_and_levels_in_the_studys(tmp_path: Path) -> None:
    strategies = ("mine", "max_common", "standalone")
    cells, _ = write_study(tmp_path, {c: {"V1": 50.0, "V2": 60.0} for c in expected(2, strategies)})
    seeds = effects.by_seed(cells, expected(2, strategies), PROTOCOLS, [SHARED, FEW])
    assert list(seeds["level"].unique()) == ["never shared", "few images"]
    assert list(seeds["strategy"].unique()) == ["standalone", "max_common", "mine"]
    assert list(seeds["seed"]) == [0, 1] * 6


def test_a_block_without_the_changed_protocol_has_no_row(tmp_path: Path) -> None:
    there = [cell("base", 0), cell("few", 0), replace(cell("base", 0), dataset="cinic10")]
    cells, _ = write_study(tmp_path, {c: {"V1": 50.0, "V2": 60.0} for c in there})
    assert list(effects.by_seed(cells, there, PROTOCOLS, [FEW])["dataset"]) == ["cifar10"]


# Of other metrics, strategies and data sets

METRICS = ("accuracy", "loss", "variance")
YOGI = Effect("server", "FedYogi", "base", "base", PROTOCOL.final, (), METRICS, ("fedavg", "fedyogi"))
LOSSES = {"fedavg": (1.0, 2.0, 3.0), "fedyogi": (1.01, 2.012, 3.014)}
SPREAD = {"fedavg": (4.0, 5.0, 6.0), "fedyogi": (2.0, 3.0, 5.0)}
"""Percentage points by which each of two clients is off their mean; the variance is their square."""


def servers(folder: Path, strategies: Sequence[str] = ("fedavg", "fedyogi")) -> pd.DataFrame:
    """Effects of FedYogi in place of FedAvg; of the two clients of each seed, the accuracies are BASE and FEWER."""
    means = {"fedavg": BASE, "fedyogi": FEWER}
    there = {
        cell("base", i, name): {"V1": (means[name][i] - SPREAD[name][i], means[name][i] + SPREAD[name][i])}
        for name in strategies
        for i in range(3)
    }
    cells, _ = write_study(folder, there)
    curves = pq.read_table(cells)
    table = curves.to_pandas()
    for (strategy, seed), lines in table[table["metric"] == "loss"].groupby(["strategy", "seed"], observed=True):
        table.loc[lines.index, "value"] = LOSSES[str(strategy)][seed]
    pq.write_table(pa.Table.from_pandas(table, schema=curves.schema, preserve_index=False), cells)
    both = [cell("base", seed, name) for name in LOSSES for seed in range(3)]
    protocols = {"base": replace(PROTOCOL, versions=("V1",), tested="all")}
    return effects.summaries(effects.by_seed(cells, both, protocols, [YOGI]))


def test_a_change_of_strategy_is_measured_in_each_metrics_unit(tmp_path: Path) -> None:
    table = servers(tmp_path)
    assert list(table["metric"]) == list(METRICS) and set(table["strategy"]) == {"fedavg"}
    assert list(table["difference"]) == pytest.approx([-4.0, 0.012, np.mean([4 - 16, 9 - 25, 25 - 36])])
    interval = stats.ttest_rel(LOSSES["fedyogi"], LOSSES["fedavg"]).confidence_interval(0.95)
    assert (table["ci95_low"][1], table["ci95_high"][1]) == pytest.approx((interval.low, interval.high))


def test_metrics_are_columns_and_what_is_said_to_move(tmp_path: Path) -> None:
    table = servers(tmp_path)
    units = ["accuracy [percentage points]", "loss [nats]", "variance over clients [percentage points squared]"]
    assert effects_text.columns(table) == ["factor", "level", "strategy", *units, "seeds"]
    assert effects_text.rows(table, "effect") == [
        ["server", "FedYogi", "FedAvg", "▼ -4.0 ± 1.2", "▲ +0.012 ± 0.005", "▼ -13.0 ± 6.6", "3"]
    ]
    counted, claim = effects_text.claims(table)
    assert counted.startswith("3 of 3 effects (a level, a strategy and a metric each) have")
    assert claim == (
        "Server, FedYogi: raises loss by 0.012 (0.007 to 0.017); "
        "lowers accuracy by 4.0 (2.8 to 5.2), variance over clients by 13.0 (6.4 to 19.6)."
    )
    assert effects_text.legend(table) == effects_text.SEVERAL


def test_strategies_of_one_level_are_told_apart(tmp_path: Path) -> None:
    few, strategies = replace(FEW, metrics=("accuracy", "loss")), ("fedavg", "fedyogi")
    there = {c: {"V1": 50.0, "V2": 60.0} for c in expected(2, strategies) if c.seed == 0 or c.strategy == "fedavg"}
    cells, _ = write_study(tmp_path, there)
    table = effects.summaries(effects.by_seed(cells, expected(2, strategies), PROTOCOLS, [few]))
    assert [row[2] for row in effects_text.rows(table, "effect")] == ["FedAvg", "FedYogi"]
    assert effects_text.claims(table)[1:] == [
        "The same number in every seed: few images (accuracy of FedAvg, loss of FedAvg).",
        "One seed, which cannot be distinguished from chance: few images (accuracy of FedYogi, loss of FedYogi).",
    ]


def test_levels_keep_the_studys_order_where_their_units_differ() -> None:
    line = {"dataset": "cifar10", "quantity": "effect", "factor": "f", "strategy": "fedavg", "n_seeds": 3}
    line |= {"outcome": "raises"}
    sizes = {("a", "loss"): 0.1, ("a", "accuracy"): 2.0, ("b", "loss"): 0.2, ("b", "accuracy"): 3.0}
    rows = [
        {**line, "level": level, "metric": metric, "difference": size, "ci95_low": size / 2, "ci95_high": 2 * size}
        for (level, metric), size in sizes.items()
    ]
    told = [claim.partition(":")[0] for claim in effects_text.claims(pd.DataFrame(rows))]
    assert told[1:] == ["F, a", "F, b"]


def test_a_strategy_that_was_not_run_has_no_effect(tmp_path: Path) -> None:
    table = servers(tmp_path, ["fedavg"])
    assert set(table["outcome"]) == {"not run"}
    assert effects_text.rows(table, "effect")[0][3:] == ["not run", "not run", "not run", "0"]


def test_a_change_of_data_set_stands_with_its_base(tmp_path: Path) -> None:
    there = {cell("base", seed): {"V1": BASE[seed], "V2": BASE[seed]} for seed in range(3)}
    there |= {replace(c, dataset="cinic10"): {"V1": FEWER[c.seed], "V2": FEWER[c.seed]} for c in there}
    cells, _ = write_study(tmp_path, there)
    change = Effect("data", "more of it", "base", "base", PROTOCOL.final, datasets=("cifar10", "cinic10"))
    (row,) = effects.summaries(effects.by_seed(cells, [*there], PROTOCOLS, [change])).to_dict("records")
    assert (row["dataset"], row["metric"], row["n_seeds"]) == ("cifar10", "accuracy", 3)
    assert row["difference"] == pytest.approx(-4.0)


def test_effects_of_a_folder_are_those_that_were_written(tmp_path: Path) -> None:
    (tmp_path / effects.FILE).write_text(effects.to_json([YOGI, PAIR]))
    assert effects.of_folder(tmp_path) == [YOGI, PAIR]


def test_tables_without_a_metric_are_of_the_data_sets_own(tmp_path: Path) -> None:
    study(tmp_path, {"base": BASE, "few": FEWER}, [FEW]).drop(columns="metric").to_csv(
        tmp_path / "old.csv", index=False
    )
    assert list(effects.read(tmp_path / "old.csv")["metric"]) == ["accuracy"]


def test_the_figure_has_a_panel_for_each_metric(tmp_path: Path) -> None:
    figure = effects_figure.draw(servers(tmp_path))
    units = ["percentage points", "nats", "percentage points squared"]
    assert [panel.get_xlabel() for panel in figure.axes] == [f"change [{unit}]" for unit in units]
    assert [panel.get_title(loc="left") or panel.get_title() for panel in figure.axes][1] == "CIFAR-10, VGG: loss"
    assert cut_off(figure) == []


# In words


def test_claims_say_what_is_resolved_by_size_and_list_the_rest(tmp_path: Path) -> None:
    table = study(tmp_path, {"base": BASE, "few": FEWER, "shared": NEVER, "few_shared": BOTH}, [SHARED, FEW, PAIR])
    counted, *rest = effects_text.claims(table)
    assert counted.startswith("2 of 3 effects (a level and a strategy each) have an interval that leaves zero out; ")
    assert rest == [
        "Pair, few, never shared: lowers Max-Common by 4.5 (1.2 to 7.8).",
        "Data, few images: lowers Max-Common by 4.0 (2.8 to 5.2).",
        "The parts add up as far as the intervals tell: few, never shared (Max-Common).",
        "Not told from zero: never shared (Max-Common).",
    ]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ({"a": "--", "b": "---"}, "Not told from zero: a; b."),  # all that each level has
        ({"a": "--0"}, "Not told from zero: a (Standalone, Clustered-FL)."),
        ({"a": "--", "b": "-"}, "Not told from zero: a; b (Standalone)."),
    ],
)
def test_strategies_are_named_where_they_are_not_all_of_the_level(lines: dict[str, str], told: str) -> None:
    """A sign for each of a level's strategies: `-` is not resolved, `0` the same number in every seed."""
    rows: list[dict[str, object]] = [
        {"dataset": "cifar10", "metric": "accuracy", "quantity": "effect", "factor": "f", "level": level}
        | {"strategy": strategy, "n_seeds": 3, "difference": 0.0, "outcome": "not resolved" if sign == "-" else "none"}
        for level, signs in lines.items()
        for strategy, sign in zip(STRATEGIES, signs, strict=False)
    ]
    assert told in effects_text.claims(pd.DataFrame(rows))


def test_caveats_name_the_base_that_they_are_about() -> None:
    where = {"dataset": "cifar10", "family": "vgg"}
    block = pd.DataFrame([{**where, "base": base} for base in ("base", "few", "base")])
    notes = {"base": "width 1/8; 2 rounds", "few": "width 1/8", "other": "a note"}
    line = {**where, "strategy": "max_common", "n_seeds": 1}
    table1 = pd.DataFrame([{**line, "protocol": name, "note": note} for name, note in notes.items()])
    assert effects_text.caveats(block, table1) == ["width 1/8", "Base base: 2 rounds"]


def test_an_interaction_that_rounds_to_zero_has_no_minus() -> None:
    line = {"quantity": "interaction", "factor": "pair", "level": "both", "strategy": "max_common", "n_seeds": 3}
    line |= {"difference": -0.03, "ci95_low": -0.04, "ci95_high": -0.01, "outcome": "lowers"}
    line |= {"dataset": "cifar10", "metric": "accuracy"}
    assert "by +0.0 (+0.0 to +0.0) for Max-Common" in " ".join(effects_text.claims(pd.DataFrame([line])))


def test_text_of_the_effects(tmp_path: Path) -> None:
    accuracy = {"base": BASE, "few": FEWER, "shared": NEVER, "few_shared": BOTH}
    there = {cell(p, i): {"V1": v, "V2": v} for p, values in accuracy.items() for i, v in enumerate(values)}
    cells, runs = write_study(tmp_path, there, width=0.125)
    tables.write(cells, runs, tmp_path, expected=expected(3), protocols=PROTOCOLS)
    named = [FEW, SHARED, PAIR]
    table1 = tmp_path / "table1.csv"
    effects.write(cells, table1, tmp_path, expected=expected(3), protocols=PROTOCOLS, effects=named)
    text = (tmp_path / "effects.md").read_text()
    assert "## CIFAR-10, VGG" in text
    assert "| factor | level | Max-Common | seeds |" in text
    assert "| data | few images | ▼ -4.0 ± 1.2 | 3 |" in text
    assert "| pair | few, never shared | +0.7 ± 2.9 | 3 |" in text
    assert "Note: width 1/8." in text
    read = effects.read(tmp_path / "effects.csv")
    assert read["note"].tolist() == [""] * 4
    assert read["difference"].tolist() == pytest.approx([-4.0, -1.1667, -4.5, 0.6667], abs=1e-4)
    seeds = pd.read_csv(tmp_path / "effects_by_seed.csv")
    assert seeds["changed"].head(3).tolist() == pytest.approx(FEWER)


@pytest.mark.parametrize(("value", "text"), [(3.16, "+3.2"), (-0.04, "+0.0"), (-0.06, "-0.1")])
def test_what_rounds_to_zero_has_no_minus(value: float, text: str) -> None:
    assert effects_text.points(value) == text


# The figure


def drawn(figure: Figure, marker: str) -> list[tuple[float, str]]:
    """Position and face of the markers of this shape that are in a panel."""
    lines = [line for panel in figure.axes for line in panel.lines if line.get_marker() == marker]
    places = [(float(np.ravel(line.get_xdata())[0]), str(line.get_markerfacecolor())) for line in lines]
    return [place for place in places if not math.isnan(place[0])]


def test_the_figure_has_a_marker_per_effect_filled_where_resolved(tmp_path: Path) -> None:
    table = study(tmp_path, {"base": BASE, "few": FEWER, "shared": NEVER, "few_shared": BOTH}, [FEW, SHARED, PAIR])
    figure = effects_figure.draw(table)
    (panel,) = figure.axes
    labels = [tick.get_text() for tick in panel.get_yticklabels()]
    assert labels == ["data", "classifier", "pair", "few images", "never shared", "few, never shared"]
    markers = drawn(figure, style.MARKERS["max_common"])
    assert [x for x, _ in markers] == pytest.approx([-4.0, -7 / 6, -4.5])
    assert [face == "white" for _, face in markers] == [False, True, False]
    assert [x for x, _ in drawn(figure, "|")] == pytest.approx([-4.0 - 7 / 6])  # the sum of the first two
    assert "3 seeds" in figure.get_supxlabel()


def test_an_interval_beyond_the_axis_ends_in_an_arrow(tmp_path: Path) -> None:
    table = study(tmp_path, {"base": BASE, "few": [61.0, 70.5, 64.0]}, [FEW])
    figure = effects_figure.draw(table)
    limit = figure.axes[0].get_xlim()[1]
    assert table["ci95_high"].item() > limit
    assert drawn(figure, ">")[0][0] == pytest.approx(limit)
    assert drawn(figure, "<")[0][0] == pytest.approx(-limit)


def test_levels_that_were_not_run_say_so(tmp_path: Path) -> None:
    figure = effects_figure.draw(study(tmp_path, {"base": BASE}, [FEW, LOCAL]))
    assert [text.get_text() for text in figure.axes[0].texts] == ["not run"]
    nothing = effects_figure.draw(study(tmp_path / "nothing", {}, [FEW]))
    assert "no run of this study" in nothing.get_supxlabel()


def test_effects_without_a_level_are_drawn_as_none(tmp_path: Path) -> None:
    study(tmp_path, {"base": BASE}, [FEW]).iloc[:0].to_csv(tmp_path / "effects.csv", index=False)
    effects_figure.write(tmp_path / "effects.csv", tmp_path / "effects")
    figure = effects_figure.draw(effects.read(tmp_path / "effects.csv"))
    assert figure.axes == []
    assert [text.get_text() for text in figure.texts] == ["no cells of this study differ in one of its effects alone"]
    assert cut_off(figure) == []


def test_every_strategy_of_the_paper_has_a_shape_of_its_own() -> None:
    assert set(style.MARKERS) == set(STRATEGIES)
    assert len(set(style.MARKERS.values())) == len(STRATEGIES)


# The study of the disagreement


def test_the_disagreement_has_a_row_for_every_effect_and_strategy(tmp_path: Path) -> None:
    """Without a run; the study as it stands in config/."""
    study = config.read(generated.CONFIG / "studies/disagreement.yaml")
    protocols = {name: study.protocol(name) for name in study.protocols}
    named = [Effect(e.factor, e.level, e.protocol, e.base, study.final(e), tuple(e.combines)) for e in study.effects]
    cells, _ = write_study(tmp_path, {})
    table = effects.summaries(effects.by_seed(cells, study.cells(), protocols, named))
    pairs = [effect for effect in study.effects if effect.combines]
    assert len(table) == 5 * (len(study.effects) + len(pairs))
    assert set(table["outcome"]) == {"not run"}
