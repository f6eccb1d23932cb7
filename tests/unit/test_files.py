"""Files that are whole or absent, and what is said where they cannot be written or read."""

import subprocess
from pathlib import Path

import pytest

from flexifed.system import files
from flexifed.system.errors import UserError
from tests.miniature import small_file_system


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small") as folder:
        files.check_writable(folder / "new")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(UserError, match=r"may not write .*small/.*: Read-only file system"):
            files.check_writable(folder / "new")
        with pytest.raises(UserError, match=r"may not write .*small/a: Read-only file system"):
            files.write_json(folder / "a" / "b.json", {})


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small") as folder:
        with pytest.raises(UserError, match=r"no space left for .*small/b\.json: [0-9,]+ bytes are free"):
            files.write_json(folder / "b.json", "x" * 200_000)
        assert not list(folder.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_spoiled_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is not a JSON file"):
        files.read_json(tmp_path / "a.json")


def test_json_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(UserError, match=r"a\.json: expected a JSON object, found list"):
        files.read_object(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"b\.json: No such file"):
        files.read_object(tmp_path / "b.json")
