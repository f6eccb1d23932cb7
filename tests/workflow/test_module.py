"""Another workflow imports this one, with a configuration and a folder of results of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.workflow.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs/module.md").read_text()


def other(checkout: Path) -> str:
    """The workflow that docs/module.md shows, with our checkout in its place."""
    return DOCUMENT.split("```python\n")[1].split("```")[0].replace("/path/to/clone", str(checkout))


def few_cells_of_quick() -> dict[str, object]:
    """The study of `make quick`, cut to two cells of two rounds."""
    study = yaml.safe_load((REPOSITORY / "config/quick.yaml").read_text())
    study["protocols"]["quick"]["rounds"] = 2
    return {**study, "study": "mine", "strategies": ["standalone", "max_common"], "seeds": [0]}


def write(folder: Path, study: dict[str, object], snakefile: str) -> None:
    for part, text in (("config/config.yaml", yaml.safe_dump({"federated": study})), ("workflow/Snakefile", snakefile)):
        (folder / part).parent.mkdir(exist_ok=True)
        (folder / part).write_text(text)


def snakemake(folder: Path, *arguments: str, package: Path | None = None) -> tuple[int, str]:
    """Run the other workflow in its folder; `package` holds what it may import. Exit code and what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"PYTHONPATH": str(package)} if package else {}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_its_cells_run_into_the_others_folder(tmp_path: Path) -> None:
    write(tmp_path, few_cells_of_quick(), other(REPOSITORY))
    code, output = snakemake(tmp_path)
    assert code == 0, output[-4000:]
    table = pd.read_csv(tmp_path / "best.csv")
    assert set(table.strategy) == {"standalone", "max_common"} and (table.n_seeds == 1).all()
    assert len(list((tmp_path / "results/mine/cells").rglob("history.parquet"))) == 2
    assert "Nothing to be done" in snakemake(tmp_path)[1]
    code, output = snakemake(tmp_path, "-n", "flexifed_all")
    assert code == 0 and "flexifed_report_page" in output and "flexifed_train" not in output


def test_a_fault_of_its_configuration_names_the_module(tmp_path: Path) -> None:
    write(tmp_path, few_cells_of_quick() | {"rouns": 1}, other(REPOSITORY))
    code, output = snakemake(tmp_path, "-n")
    assert code != 0 and "config of module flexifed: rouns: unknown key" in output


def test_a_prefix_is_refused(tmp_path: Path) -> None:
    snakefile = other(REPOSITORY).replace("    config:\n", '    prefix:\n        "fl"\n    config:\n')
    write(tmp_path, few_cells_of_quick(), snakefile)
    code, output = snakemake(tmp_path, "-n")
    assert code != 0 and "module flexifed: no `prefix`, please: results go to results/mine." in output


@pytest.fixture
def apart(tmp_path: Path) -> tuple[Path, Path]:
    """The workflow without its package, as fetched from a public host, and a folder with the package alone."""
    for part in ("workflow", "envs"):
        shutil.copytree(REPOSITORY / part, tmp_path / "fetched" / part)
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed/flexifed").symlink_to(REPOSITORY / "flexifed")
    return tmp_path / "fetched", tmp_path / "installed"


def test_the_installed_package_serves_where_only_the_workflow_was_fetched(
    apart: tuple[Path, Path], tmp_path: Path
) -> None:
    fetched, installed = apart
    (tmp_path / "other").mkdir()
    write(tmp_path / "other", few_cells_of_quick(), other(fetched))
    code, output = snakemake(tmp_path / "other", "-n", package=installed)
    assert code == 0 and "flexifed_train" in output, output[-4000:]
