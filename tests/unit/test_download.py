"""Receipts: verified downloads, local copies, bundled data."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flexifed.data.archives import Archive
from flexifed.data.download import download
from flexifed.system.errors import UserError
from tests.miniature import make_archives, serve, served


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("archives")


@pytest.fixture(scope="module")
def agnews(folder: Path) -> list[Archive]:
    return make_archives(folder)["agnews"]


@pytest.fixture(scope="module")
def base(folder: Path) -> Iterator[str]:
    with serve(folder) as url:
        yield url


def receipt(tmp_path: Path, dataset: str = "agnews", **arguments: Any) -> dict[str, Any]:
    arguments = {"local": None, "archives": None, "downloads": tmp_path / "downloads"} | arguments
    download(dataset, receipt=tmp_path / "receipt.json", **arguments)
    found: dict[str, Any] = json.loads((tmp_path / "receipt.json").read_text())
    return found


def refusal(tmp_path: Path, **arguments: Any) -> str:
    with pytest.raises(UserError) as error:
        receipt(tmp_path, **arguments)
    assert not (tmp_path / "receipt.json").exists()
    return str(error.value)


def test_download(tmp_path: Path, agnews: list[Archive], base: str) -> None:
    found = receipt(tmp_path, archives=served(agnews, base))
    assert found == {
        "verified": True,
        "how": "downloaded, sha256 checked, archives as set in the config",
        "path": str(tmp_path / "downloads/agnews"),
        "files": [{"name": a.file, "bytes": a.bytes, "sha256": a.sha256, "url": f"{base}/{a.file}"} for a in agnews],
    }
    assert sorted(p.name for p in (tmp_path / "downloads/agnews").glob("[!.]*")) == ["test.csv", "train.csv"]


def test_nothing_pinned_is_not_verified(tmp_path: Path, agnews: list[Archive], base: str) -> None:
    unpinned = [replace(archive, sha256=None) for archive in served(agnews, base)]
    found = receipt(tmp_path, archives=[served(agnews, base)[0], unpinned[1]])
    assert found["verified"] is False
    assert found["how"].startswith("downloaded, not verified")
    assert found["files"][1]["sha256"] == agnews[1].sha256


def test_one_file_of_two_fails(tmp_path: Path, agnews: list[Archive], base: str) -> None:
    archives = [*served(agnews[:1], base), *served(agnews[1:], f"{base}/wrong")]
    assert "test.csv is damaged there, or another file" in refusal(tmp_path, archives=archives)
    assert [p.name for p in (tmp_path / "downloads/agnews").glob("[!.]*")] == ["train.csv"]


def test_archives_of_another_data_set(tmp_path: Path, agnews: list[Archive]) -> None:
    message = refusal(tmp_path, dataset="cifar10", archives=agnews)
    assert "cifar10': expected the files cifar-10-binary.tar.gz, got test.csv, train.csv" in message


@pytest.mark.parametrize("local", ["ag_news_csv", "."])
def test_local_copy_or_its_parent(tmp_path: Path, local: str) -> None:
    (tmp_path / "ag_news_csv").mkdir()
    for name in ("train.csv", "test.csv"):
        (tmp_path / "ag_news_csv" / name).touch()
    found = receipt(tmp_path, local=tmp_path / local)
    expected = {"verified": False, "how": "local copy, not verified", "path": str(tmp_path / local), "files": []}
    assert found == expected
    assert not (tmp_path / "downloads").exists()


def test_local_copy_with_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    message = refusal(tmp_path, local=tmp_path)
    assert message == f"incomplete copy of the data in {tmp_path}: test.csv missing (looked for train.csv, test.csv)."


def test_no_local_copy(tmp_path: Path) -> None:
    message = refusal(tmp_path, local=tmp_path / "nowhere")
    assert f"no copy of the data in {tmp_path}/nowhere or {tmp_path}/nowhere/ag_news_csv (no such folder)" in message
    assert "looked for train.csv, test.csv" in message


def test_bundled(tmp_path: Path) -> None:
    assert receipt(tmp_path, "digits")["how"] == "bundled with scikit-learn"
    with pytest.raises(UserError, match="'digits' comes with scikit-learn: remove `local`"):
        receipt(tmp_path, "digits", local=tmp_path)
