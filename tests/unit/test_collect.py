"""Collect: every curve and every run, in types that stay small, the same bytes each time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flexifed.analysis.collect import CURVES, RUNS, collect, read_curves, read_runs
from flexifed.settings.cell import Cell
from flexifed.system.errors import UserError
from tests.unit.results import write_cell, write_study

FIRST = Cell("cifar10", "vgg", "standalone", "official", 1)
SECOND = Cell("cifar10", "vgg", "max_common", "official", 2)
ACCURACY = {"V1": 60.0, "V2": 70.0}


def test_curves_hold_the_cell_and_its_history(tmp_path: Path) -> None:
    cells, _ = write_study(tmp_path, {FIRST: ACCURACY, SECOND: ACCURACY})
    assert pq.read_schema(cells).equals(CURVES)
    assert pq.ParquetFile(cells).num_row_groups == 2
    table = pq.read_table(cells)
    assert len(table) == 2 * (2 * 2 * 4)  # cells x (rounds x clients x measurements)
    row = {"dataset": "cifar10", "family": "vgg", "strategy": "max_common", "protocol": "official", "seed": 2}
    row |= {"round": 2, "client": 1, "version": "V2", "phase": "aggregated", "metric": "accuracy", "value": 0.7}
    assert row in table.to_pylist()


def test_words_of_different_cells_do_not_mix(tmp_path: Path) -> None:
    cells, _ = write_study(tmp_path, {FIRST: ACCURACY, SECOND: ACCURACY})
    assert set(pq.read_table(cells, columns=["strategy"])["strategy"].to_pylist()) == {"standalone", "max_common"}
    assert set(read_curves(cells, strategy="max_common")["seed"]) == {2}
    assert read_curves(cells, phase="local", metric="loss").empty


def test_a_run_is_a_row(tmp_path: Path) -> None:
    _, runs = write_study(tmp_path, {FIRST: ACCURACY}, width=0.125, verified=False)
    assert pq.read_schema(runs).equals(RUNS)
    (run,) = read_runs(runs).to_dict("records")
    assert (run["dataset"], run["seed"], run["width"], run["verified"]) == ("cifar10", 1, 0.125, False)
    assert (run["bytes_up_per_round"], run["bytes_down_per_round"]) == (200, 400)
    assert (run["commit"], run["dirty"], run["partitioner"], run["rounds"]) == ("0123456789abcdef", False, "iid", 2)


def test_the_same_cells_give_the_same_bytes(tmp_path: Path) -> None:
    written = [write_study(tmp_path / name, {FIRST: ACCURACY, SECOND: ACCURACY}) for name in ("a", "b")]
    assert [p.read_bytes() for p in written[0]] == [p.read_bytes() for p in written[1]]


def test_dictionary_encoded_histories_are_read_too(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "cell", FIRST, ACCURACY)
    history = pq.read_table(folder / "history.parquet")
    encoded = history.set_column(
        2, "version", history["version"].dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))
    )
    pq.write_table(encoded, folder / "history.parquet")
    collect([folder], tmp_path / "cells.parquet", tmp_path / "runs.parquet")
    assert set(pq.read_table(tmp_path / "cells.parquet")["version"].to_pylist()) == {"V1", "V2"}


def test_an_unfinished_cell_is_named(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "cell", FIRST, ACCURACY)
    (folder / "run.json").unlink()
    with pytest.raises(UserError, match=r"cell: no run\.json"):
        collect([folder], tmp_path / "cells.parquet", tmp_path / "runs.parquet")
    assert not (tmp_path / "cells.parquet").exists()


def test_a_cell_is_collected_once(tmp_path: Path) -> None:
    folders = [write_cell(tmp_path / name, FIRST, ACCURACY) for name in ("one", "two")]
    with pytest.raises(UserError, match=r"two: the cell cifar10/vgg/standalone/official/1 was already collected"):
        collect(folders, tmp_path / "cells.parquet", tmp_path / "runs.parquet")
