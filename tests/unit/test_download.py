"""Receipts: verified downloads, local copies, bundled data."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flexifed.data.archives import Archive
from flexifed.data.download import download
from flexifed.system.errors import UserError
from tests.miniature import make_archives, read_only, serve, served


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
    assert "datasets.cifar10.archives: expected the files cifar-10-binary.tar.gz, got test.csv, train.csv" in message


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
    with pytest.raises(
        UserError, match=r"datasets\.digits\.local: 'digits' is bundled with scikit-learn.*: remove `local`"
    ):
        receipt(tmp_path, "digits", local=tmp_path)
    with pytest.raises(UserError, match=r"datasets\.digits\.archives: 'digits' is bundled with scikit-learn"):
        receipt(tmp_path, "digits", archives=[Archive("digits.zip", ("http://127.0.0.1/digits.zip",))])


def test_archives_that_are_there_are_used_from_a_folder_that_cannot_be_written(
    tmp_path: Path, folder: Path, agnews: list[Archive]
) -> None:
    downloads = tmp_path / "downloads"
    (downloads / "agnews").mkdir(parents=True)
    for archive in agnews:
        shutil.copy(folder / archive.file, downloads / "agnews")
    with read_only(downloads):
        found = receipt(tmp_path, archives=served(agnews, "http://127.0.0.1:1"))
    assert found["verified"] and [file["sha256"] for file in found["files"]] == [a.sha256 for a in agnews]
    assert not any("url" in file for file in found["files"]), "nothing was downloaded now"
    assert sorted(p.name for p in (downloads / "agnews").iterdir()) == ["test.csv", "train.csv"]


def test_a_wrong_archive_in_a_folder_that_cannot_be_written(tmp_path: Path, agnews: list[Archive]) -> None:
    (tmp_path / "downloads/agnews").mkdir(parents=True)
    (tmp_path / "downloads/agnews/train.csv").write_text("another file")
    with read_only(tmp_path / "downloads"):
        message = refusal(tmp_path, archives=served(agnews, "http://127.0.0.1:1"))
    assert "downloads/agnews/train.csv is not the published file" in message


def test_an_absent_archive_needs_a_folder_that_can_be_written(tmp_path: Path, agnews: list[Archive], base: str) -> None:
    (tmp_path / "downloads").mkdir()
    with read_only(tmp_path / "downloads"):
        message = refusal(tmp_path, archives=served(agnews, base))
    assert f"may not write {tmp_path}/downloads/agnews: Read-only file system" in message


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, to act as another user")
def test_an_archive_that_another_user_keeps_to_himself(agnews: list[Archive]) -> None:
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path\n"
        "from flexifed.data.archives import Archive, fetch; from flexifed.system.errors import UserError\n"
        "import os; shared = Path(sys.argv[1]); os.setuid(65534)\n"
        "try: fetch(Archive('train.csv', ()), shared, print)\n"
        "except UserError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o755)
        (Path(shared) / "train.csv").touch(mode=0o600)
        command = [sys.executable, "-c", program, shared]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"may not read {shared}/train.csv: Permission denied. Its owner can make it readable."
