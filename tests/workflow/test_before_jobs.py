"""The workflow and its commands say what is wrong before any job, and leave a shared folder of archives as it is."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.miniature import make_archives, overlay, read_only
from tests.workflow.conftest import Checkout, copy

STUDY: dict[str, Any] = {
    "study": "mine",
    "blocks": [{"dataset": "digits", "families": ["vgg"]}],
    "strategies": ["standalone"],
    "seeds": [0],
    "protocols": {"short": {"preset": "clean", "clients": 4, "rounds": 1, "slices": 40, "local_epochs": 1}},
    "families": {"vgg": {"width": 0.0625}},
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(tmp_path_factory.mktemp("repository") / "checkout")


@pytest.fixture
def folder(repository: Path) -> Path:
    """The checkout, with nothing run in it yet."""
    for part in ("results", "downloads", ".snakemake"):
        shutil.rmtree(repository / part, ignore_errors=True)
    return repository


SOURCE = "results/mine/data/digits.source.json"
"""What the first job of the study leaves."""


def study(folder: Path, name: str = "mine.yaml", **changes: Any) -> Checkout:
    (folder / name).write_text(yaml.safe_dump({**STUDY, **changes}))
    return Checkout(folder, (folder / name,))


def cells(study: Checkout) -> tuple[int, str]:
    """Exit code and errors of `flexifed cells`, which `make` runs first."""
    command = [sys.executable, "-m", "flexifed", "cells", "--config", str(study.configfiles[0])]
    done = subprocess.run(command, cwd=study.folder, capture_output=True, text=True)
    return done.returncode, done.stderr


def refusal(study: Checkout) -> str:
    """What a run says that comes to no job."""
    output = study.snakemake("inputs", check=False)
    assert "rule " not in output and "Traceback" not in output, output
    assert not (study.folder / "results/mine/data").exists()
    return output


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"datasets": {"digits": {"local": "copy"}}}, "datasets.digits.local: 'digits' is bundled with scikit-learn"),
        (
            {"blocks": [{"dataset": "cifar10", "families": ["vgg"]}], "datasets": {"cifar10": {"local": "copy"}}},
            "datasets.cifar10.local: no copy of the data in copy or copy/cifar-10-batches-bin (no such folder)",
        ),
        (
            {"all_protocols": {"partition": {"partitioner": "iid", "options": {"parts": 2}}}},
            "4 clients need 4 parts, parts is 2",
        ),
    ],
)
def test_a_study_that_cannot_be_run(folder: Path, changes: dict[str, Any], expected: str) -> None:
    faulty = study(folder, **changes)
    code, errors = cells(faulty)
    assert code == 2 and expected in errors
    assert expected in refusal(faulty)


def test_a_second_study_of_the_same_name(folder: Path) -> None:
    study(folder).snakemake(SOURCE)
    second = study(folder, "second.yaml", seeds=[1])
    expected = "results/mine holds the results of mine.yaml"
    assert expected in second.snakemake("inputs", check=False)
    assert expected in cells(second)[1]
    assert not list((folder / "results/mine/partitions").rglob("seed1.parquet"))
    study(folder, seeds=[1]).snakemake(SOURCE, "--force")
    study(folder, "second.yaml", variant="second").snakemake(SOURCE.replace("mine", "mine-second"))


def test_bundled_data_need_no_downloads(folder: Path) -> None:
    (folder / "downloads").mkdir()
    with read_only(folder / "downloads"):
        study(folder).snakemake("results/mine/data/digits/card.json")


def test_archives_in_a_shared_folder_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    """The server does not exist: what is there is used, and what is not is missed before any job."""
    shared = tmp_path / "shared"
    archives = make_archives(tmp_path / "archives")
    blocks = [{"dataset": "agnews", "families": ["charcnn"]}]
    news = study(folder, blocks=blocks, downloads=str(shared), **overlay(archives, "http://127.0.0.1:1"))
    shared.mkdir()
    with read_only(shared):
        expected = f"downloads: may not write {shared}/agnews: Read-only file system. train.csv, test.csv would be"
        assert expected in refusal(news)
    (shared / "agnews").mkdir()
    for archive in archives["agnews"]:
        shutil.copy(tmp_path / "archives" / archive.file, shared / "agnews")
    with read_only(shared):
        news.snakemake("results/mine/data/agnews/card.json")
    assert sorted(p.name for p in (shared / "agnews").iterdir()) == ["test.csv", "train.csv"]
