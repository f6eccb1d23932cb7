"""The surface for notebooks: fast to import, explained, and the tutorial runs from its first cell to its last."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import flexifed
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.system.errors import UserError
from tests.unit.results import write_study

ROOT = registry.PACKAGE.parent
TUTORIAL = ROOT / "docs/tutorial.ipynb"
VERSIONS = {"V1": 60.0, "V2": 61.0, "V3": 62.0, "V4": 63.0}


def run(program: str, folder: Path) -> str:
    """Run a program in a folder, with the package of this checkout; returns what it printed."""
    path = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    done = subprocess.run([sys.executable, "-c", f"{path}\n{program}"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def source(cell: dict[str, Any]) -> str:
    """A notebook cell as plain Python: without the lines that only a notebook understands."""
    return "\n".join(line for line in "".join(cell["source"]).splitlines() if not line.startswith("%"))


def test_the_tutorial_runs_and_ends_in_the_recorded_accuracy(tmp_path: Path) -> None:
    cells = [cell for cell in json.loads(TUTORIAL.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells), "commit it without outputs"
    results = [
        "import json",
        "index = json.loads((cell / 'models/best.json').read_text())",
        "print(json.dumps([reached, recorded[index['round']], sorted(set(curves['strategy'])), str(cell)]))",
    ]
    printed = run("\n".join([*map(source, cells), *results]), tmp_path)
    reached, recorded, strategies, cell = json.loads(printed.splitlines()[-1])
    assert reached == recorded > 0
    assert strategies == ["max_common", "standalone"]
    assert cell == "results/tutorial/cells/digits/vgg/max_common/short/seed0"
    assert (tmp_path / "convergence.png").stat().st_size > 10_000


def test_importing_it_imports_nothing_heavy() -> None:
    loaded = run("import flexifed; print(*{'torch', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))", ROOT)
    assert loaded.strip() == ""


@pytest.mark.parametrize("name", ["draw", "load_model", "results", "run_cell", "runs", "tested_on"])
def test_everything_is_there_and_explained(name: str) -> None:
    assert name in dir(flexifed)
    text = getattr(flexifed, name).__doc__
    assert "Args:" in text and "Returns:" in text and "Raises:" in text


def test_what_is_not_there_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="module 'flexifed' has no attribute 'result'"):
        flexifed.result  # noqa: B018


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two protocols, finished cells only where both files are there."""
    cells = {
        Cell("cifar10", "vgg", strategy, protocol, seed): VERSIONS
        for strategy in ("standalone", "max_common")
        for protocol in ("a", "b")
        for seed in (0, 1)
    }
    write_study(tmp_path, cells)
    (tmp_path / "cells/cifar10/vgg/max_common/b/seed1/history.parquet").unlink()
    return tmp_path


def test_results_are_those_of_the_finished_cells(study: Path) -> None:
    """With plain columns, each explained."""
    table, records = flexifed.results(study), flexifed.runs(study)
    cell = ["dataset", "family", "strategy", "protocol", "seed"]
    assert len(table[cell].drop_duplicates()) == len(records) == 7
    assert not any(isinstance(kind, pd.CategoricalDtype) for kind in table.dtypes)
    for column in table.columns:
        assert f"`{column}`" in str(flexifed.results.__doc__)
    last = table[(table["metric"] == "accuracy") & (table["phase"] == "aggregated") & (table["round"] == 2)]
    assert last.groupby("version")["value"].mean().round(3).to_dict() == {"V1": 0.6, "V2": 0.61, "V3": 0.62, "V4": 0.63}


def test_one_block_is_drawn_and_has_to_be_named(study: Path) -> None:
    with pytest.raises(UserError, match="2 blocks are meant, one can be drawn; say which"):
        flexifed.draw(study)
    with pytest.raises(UserError, match=r"0 blocks are meant.*: cifar10, vgg, a; cifar10, vgg, b"):
        flexifed.draw(study, protocol="c")
    with pytest.raises(UserError, match="holds no finished cell"):
        flexifed.draw(study / "cells")


def test_a_cell_that_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = [ROOT / "config/quick.yaml"]
    with pytest.raises(UserError, match="Did you mean 'max_common'"):
        flexifed.run_cell(config, "digits", "vgg", "max-common", "quick", 0)
    with pytest.raises(UserError, match="unknown block of the study 'digits, resnet, quick'"):
        flexifed.run_cell(config, "digits", "resnet", "max_common", "quick", 0)
    with pytest.raises(UserError, match="seed: expected 0 or more, got -1"):
        flexifed.run_cell(config, "digits", "vgg", "max_common", "quick", -1)
    assert not list(tmp_path.iterdir())
