"""Published numbers beside ours: which lines they stand beside, and what the seeds say of them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from flexifed.analysis import beside, published, speed
from flexifed.analysis.collect import read_runs
from flexifed.report.parts import Sources
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Partition, Protocol
from flexifed.study import config
from tests.unit import results

README = "shaoxiongji/federated-learning README"
SHAOXIONGJI = config.Study.model_validate(
    {"study": "s", "blocks": [{"dataset": "mnist", "families": ["mlp"]}], "strategies": ["fedavg"], "seeds": [0]}
    | {"protocols": {"iid": {"preset": "shaoxiongji"}}}
).protocol("iid")


def table(
    folder: Path,
    accuracies: list[float],
    protocol: Protocol = SHAOXIONGJI,
    options: str = '{"dropout": 0.5}',
    n_train: int = 60_000,
    **names: str,
) -> pd.DataFrame:
    """Of a study of one line whose seeds end at these accuracies after 50 rounds, ten points a round lower before."""
    cell = {"dataset": "mnist", "family": "mlp", "strategy": "fedavg", "protocol": "iid", **names}
    cells = {Cell(**cell, seed=i): {"V1": percent} for i, percent in enumerate(accuracies)}  # type: ignore[arg-type]
    curves, records = results.write_study(folder, cells, rounds=50)  # type: ignore[arg-type]
    runs = read_runs(records).assign(family_options=options, n_train=n_train, n_test=10_000)
    return beside.beside(speed.curves(curves), runs, list(cells), {"iid": protocol})


def test_a_number_stands_beside_the_lines_of_its_settings(tmp_path: Path) -> None:
    found = table(tmp_path, [97.0, 97.3, 97.6])
    assert found[["source", "at", "published"]].to_numpy().tolist() == [[README, 10, 94.57], [README, 50, 97.21]]
    line = found.iloc[1]
    assert line["mean"] == pytest.approx(97.3) and line["deviation"] == pytest.approx(0.09)
    assert line["one_more_high"] - line["mean"] == pytest.approx(4.3027 * 0.3 * math.sqrt(4 / 3), rel=1e-4)
    assert line["verdict"] == beside.INSIDE


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        (replace(SHAOXIONGJI, participants=0.2), {}),
        (replace(SHAOXIONGJI, local_epochs=1), {}),
        (replace(SHAOXIONGJI, optimiser=replace(SHAOXIONGJI.optimiser, momentum=0.9)), {}),
        (replace(SHAOXIONGJI, partition=Partition(partitioner="dirichlet")), {}),
        (SHAOXIONGJI, {"strategy": "fedprox"}),
        (SHAOXIONGJI, {"family": "resnet18"}),
    ],
)
def test_other_settings_have_none(tmp_path: Path, changed: Protocol, names: dict[str, Any]) -> None:
    assert table(tmp_path, [97.0, 97.3], changed, **names).empty


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ([90.0, 90.1, 90.2], beside.ABOVE),
        ([99.0, 99.1, 99.2], beside.BELOW),
        ([97.2, 97.3], beside.TOO_FEW),
        ([97.2], "one seed"),
        ([], "missing"),
    ],
)
def test_verdicts(tmp_path: Path, accuracies: list[float], verdict: str) -> None:
    if accuracies:
        assert table(tmp_path, accuracies).iloc[1]["verdict"] == verdict
    else:
        curves, records = results.write_study(tmp_path, {Cell("mnist", "cnn", "fedavg", "iid", 0): {"V1": 5.0}})
        expected = [Cell("mnist", "mlp", "fedavg", "iid", 0)]
        found = beside.beside(speed.curves(curves), read_runs(records), expected, {"iid": SHAOXIONGJI})
        assert set(found["verdict"]) == {verdict}


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"options": '{"dropout": 0.5, "width": 0.1}'}, "model with width 0.1, dropout 0.5 (theirs: dropout 0.5)"),
        ({"options": "{}"}, "model with its defaults (theirs: dropout 0.5)"),
        ({"n_train": 1000}, "a part of the data"),
        ({"protocol": replace(SHAOXIONGJI, slices=10)}, "slices 10 (theirs: 1)"),
        ({"protocol": replace(SHAOXIONGJI, partition=Partition(options={"parts": 200}))}, "iid with parts 200"),
    ],
)
def test_what_cannot_be_compared_is_said_and_not_judged(tmp_path: Path, change: Any, note: str) -> None:
    found = table(tmp_path, [97.0, 97.3, 97.6], **change)
    assert set(found["verdict"]) == {"not comparable"} and set(found["note"]) == {note}


def test_rounds_to_a_target_are_read_from_the_best_so_far_in_straight_lines() -> None:
    curve = pd.Series({1: 90.0, 2: 96.0, 3: 94.0, 5: 98.0})
    assert beside.rounds_to(curve, 96.0) == 2
    assert beside.rounds_to(curve, 97.0) == 4  # half of the way from 96 in round 3 to 98 in round 5
    assert beside.rounds_to(curve, 80.0) == 1
    assert beside.rounds_to(curve, 99.0) == math.inf


def test_a_seed_that_never_arrives_is_counted_and_no_mean_is_given(tmp_path: Path) -> None:
    optimiser = replace(SHAOXIONGJI.optimiser, learning_rate=0.1, momentum=0.0)
    protocol = replace(SHAOXIONGJI, versions=("V2",), optimiser=optimiser)
    cells = {Cell("mnist", "mlp", "fedavg", "iid", i): {"V2": p} for i, p in enumerate((97.5, 96.5))}
    curves, records = results.write_study(tmp_path, cells, rounds=50)
    runs = read_runs(records).assign(family_options="{}", n_train=60_000, n_test=10_000)
    (line,) = beside.beside(speed.curves(curves), runs, list(cells), {"iid": protocol}).to_dict("records")
    assert (line["metric"], line["published"], line["not_reached"]) == ("rounds_to", 26, 1)
    assert line["verdict"] == "not reached" and math.isnan(line["mean"])


def test_of_several_rates_beside_a_number_with_a_tuned_one_the_best_is_judged(tmp_path: Path) -> None:
    """Curves rise by ten points in the last round, so the one that ends higher crosses 97 % earlier."""
    plain = replace(SHAOXIONGJI, versions=("V2",))
    protocols = {
        name: replace(plain, optimiser=replace(plain.optimiser, learning_rate=rate, momentum=0.0))
        for name, rate in (("slow", 0.1), ("fast", 0.2))
    }
    cells = {
        Cell("mnist", "mlp", "fedavg", name, seed): {"V2": end + seed / 100}
        for name, end in (("slow", 98.0), ("fast", 99.0))
        for seed in range(3)
    }
    curves, records = results.write_study(tmp_path, cells, rounds=50)
    runs = read_runs(records).assign(family_options="{}", n_train=60_000, n_test=10_000)
    found = beside.beside(speed.curves(curves), runs, list(cells), protocols)
    assert set(found["metric"]) == {"rounds_to"}
    by_protocol = found.set_index("protocol")
    assert by_protocol["ratio"]["fast"] == pytest.approx(by_protocol["mean"]["fast"] / 26)
    assert by_protocol["mean"]["fast"] < by_protocol["mean"]["slow"]
    assert by_protocol["verdict"]["slow"] == beside.NOT_BEST != by_protocol["verdict"]["fast"]


def test_every_published_number_and_claim_names_what_there_is() -> None:
    for number in published.numbers().to_dict("records"):
        for kind in ("dataset", "family", "strategy", "partitioner"):
            assert not number[kind] or registry.check(kind, number[kind])
        assert number["version"] in registry.constant("family", number["family"], "VERSIONS")
        assert number["metric"] in ("accuracy", "rounds_to") and float(number["value"]) > 0
        assert number["system"] and number["source"] and (number["at"] or number["metric"] == "accuracy")
    for claim in published.claims().to_dict("records"):
        assert registry.check("strategy", claim["higher"]) != registry.check("strategy", claim["lower"])
        kinds = (published.ORDER, published.GAIN, published.SPEED, published.TIME, published.VARIANCE)
        assert claim["about"] in kinds


def test_the_report_shows_them(tmp_path: Path) -> None:
    table(tmp_path, [97.0, 97.3, 97.6]).to_csv(tmp_path / "beside.csv", index=False)
    from flexifed.report import beside as shown

    sources = Sources("s", tmp_path, tmp_path / "runs.parquet", [], [])
    (grid,) = shown.section(sources).parts
    assert grid.kind == "grid" and not grid.notes, "an empty remark is none"
    assert grid.kind == "grid" and grid.heading == "MNIST, MLP-2"
    assert grid.rows[1][:7] == ["FedAvg, iid", "accuracy, round 50", "97.2", "97.3", "95.8 to 98.8", "3", beside.INSIDE]
