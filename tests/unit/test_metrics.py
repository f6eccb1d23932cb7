"""A task's metric in tables, figures and the report, and of clients together where only they have it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flexifed import report
from flexifed.analysis import finals, metrics, speed, tables, typeset
from flexifed.analysis.collect import collect
from flexifed.figures import convergence, final_numbers, overview
from flexifed.report import Sources
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.system.progress import rounds
from flexifed.training.history import TOGETHER
from tests.unit import results
from tests.unit.results import PROTOCOL, write_cell

CLICKS = Cell("digits8", "mlp", "fedavg", "official", 0)
IMAGES = Cell("cifar10", "vgg", "fedavg", "official", 0)
AREA, ACCURACY = {"V1": 70.0, "V2": 80.0}, {"V1": 60.0, "V2": 64.0}


@pytest.fixture(autouse=True)
def digits_are_clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set of `CLICKS` has the task click_through, that of `IMAGES` classification."""
    found = registry.task
    monkeypatch.setattr(registry, "task", lambda name: "click_through" if name == CLICKS.dataset else found(name))


def of_shards(folder: Path) -> None:
    """Turn a cell's accuracies into areas of each version's clients together; clients have an accuracy of 99 %."""
    path = folder / "history.parquet"
    history = pq.read_table(path).to_pandas()
    measured = history[history["metric"].str.startswith("accuracy")]
    of_clients = measured.assign(value=0.99)
    named = measured["metric"].str.replace("accuracy", "auc")
    together = measured.groupby(["round", "version", "phase", named], sort=False)["value"].mean().reset_index()
    whole = pd.concat([of_clients, together.assign(client=TOGETHER)])[history.columns]
    pq.write_table(pa.Table.from_pandas(whole, schema=pq.read_schema(path), preserve_index=False), path)


def study(folder: Path, *cells: Cell) -> tuple[Path, Path]:
    """Cells of both tasks, collected."""
    folders = []
    for cell in cells:
        folders.append(write_cell(folder / "cells" / str(cell), cell, AREA if cell == CLICKS else ACCURACY))
        if cell == CLICKS:
            of_shards(folders[-1])
    collect(folders, folder / "cells.parquet", folder / "runs.parquet")
    return folder / "cells.parquet", folder / "runs.parquet"


def by_version(numbers: pd.DataFrame, cell: Cell) -> Mapping[str, float]:
    same = numbers[numbers["dataset"] == cell.dataset]
    return dict(zip(same["version"], same["final"], strict=True))


def test_a_metric_is_that_of_the_data_sets_task() -> None:
    assert [metrics.name(cell.dataset) for cell in (IMAGES, CLICKS)] == ["accuracy", "auc"]
    assert metrics.name("digits8", "train") == "auc_train_mode"
    assert metrics.titles(["cifar10", "cifar10"]) == "accuracy"
    assert metrics.titles(["digits8"]) == "AUC"
    assert metrics.titles(["cifar10", "mnist", "digits8"]) == "accuracy (CIFAR-10, MNIST) and AUC (Digits (8 x 8))"


def test_each_data_set_has_final_numbers_of_its_own_metric(tmp_path: Path) -> None:
    cells, _ = study(tmp_path, IMAGES, CLICKS)
    numbers = finals.final_numbers(cells, {"official": PROTOCOL})
    assert by_version(numbers, IMAGES) == pytest.approx({"V1": 60.0, "V2": 64.0, "mean": 62.0})
    assert by_version(numbers, CLICKS) == pytest.approx({"V1": 70.0, "V2": 80.0, "mean": 75.0})
    trained = finals.final_numbers(cells, {"official": PROTOCOL}, phase="aggregated", mode="train")
    assert by_version(trained, CLICKS) == pytest.approx({"V1": 68.0, "V2": 78.0, "mean": 73.0})
    ends = speed.curves(cells).query("round == 2 and version == 'mean'").set_index("dataset")["value"]
    assert ends.to_dict() == pytest.approx({"cifar10": 62.0, "digits8": 75.0})


def test_clients_are_left_out_where_they_have_the_metric_together(tmp_path: Path) -> None:
    """Single clients may have it as well, and are not averaged with what is of all of them."""
    cells, _ = study(tmp_path, CLICKS)
    path = tmp_path / "cells" / str(CLICKS) / "history.parquet"
    history = pq.read_table(path).to_pandas()
    alone = history[history["metric"] == "accuracy"].assign(metric="auc")
    pq.write_table(pa.Table.from_pandas(pd.concat([history, alone]), preserve_index=False), path)
    collect([path.parent], cells, tmp_path / "runs.parquet")
    assert set(metrics.curves(cells, phase="aggregated")["client"]) == {TOGETHER}
    numbers = finals.final_numbers(cells, {"official": PROTOCOL})
    assert by_version(numbers, CLICKS) == pytest.approx({"V1": 70.0, "V2": 80.0, "mean": 75.0})


def test_figures_say_what_each_block_is_of(tmp_path: Path) -> None:
    cells, runs = study(tmp_path, IMAGES, CLICKS)
    tables.write(cells, runs, tmp_path, expected=[IMAGES, CLICKS], protocols={"official": PROTOCOL})
    first, curves = tables.read(tmp_path / "table1.csv"), metrics.curves(cells, phase="aggregated")
    drawn = overview.draw(curves, first)
    said = ["accuracy [%], mean over versions", "AUC [%], mean over versions"]
    assert [panel.get_ylabel() for panel in drawn.axes] == said
    assert drawn.get_supylabel() == ""
    assert [panel.get_xlabel() for panel in final_numbers.draw(first).axes] == said
    alone = overview.draw(curves, first[first["dataset"] == "digits8"])
    assert (alone.get_supylabel(), alone.axes[0].get_ylabel()) == ("AUC [%], mean over versions", "")
    block = first[first["dataset"] == "digits8"]
    assert convergence.draw(curves[curves["dataset"] == "digits8"], block).get_supylabel() == "AUC [%]"


def test_tables_and_report_name_the_metric(tmp_path: Path) -> None:
    study(tmp_path, CLICKS)
    results.write_tables(tmp_path, [CLICKS], {"official": PROTOCOL}, tmp_path / "tables")
    assert "AUC in percent. Mean over seeds" in (tmp_path / "tables/table1.md").read_text()
    assert typeset.latex(tables.read(tmp_path / "tables/table1.csv")).startswith("% AUC in percent")
    sources = Sources("s", tmp_path / "tables", tmp_path / "runs.parquet", [], [CLICKS])
    report.render(sources, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "When and how AUC is measured" in page
    assert "Final numbers here are mean over" in page
    assert '<th scope="col">AUC</th>' in page


def test_progress_names_the_metric(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "flexifed")
    with rounds("a cell", 2, title="AUC", bar=False) as progress:
        progress(1, None)
        progress(2, 0.7519)
    assert caplog.messages == ["a cell  round 2/2  AUC 75.2 %  done"]


@pytest.mark.parametrize("name", registry.names("task"))
def test_what_is_read_of_a_task_without_importing_it_is_what_it_measures(name: str) -> None:
    task = registry.load("task", name).TASK
    assert {task.METRIC, *task.MEANS} <= set(registry.constant("task", name, "METRICS"))
    assert registry.constant("task", name, "SCORES") == task.SCORES
    assert registry.constant("task", name, "METRIC") == task.METRIC
