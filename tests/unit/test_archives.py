"""Downloads over real HTTP, with the faults they meet, and unpacking of archives that are not what they should be."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flexifed.data import archives
from flexifed.data.archives import Archive, fetch, unpacked
from flexifed.system.errors import UserError
from tests.miniature import Request, member, serve, small_file_system

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DEAD = "http://127.0.0.1:1"  # nobody listens on this port


@pytest.fixture
def base(tmp_path: Path, log: list[Request]) -> Iterator[str]:
    """A server of a folder that holds data.bin."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "data.bin").write_bytes(CONTENT)
    with serve(folder, log=log) as url:
        yield url


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_file_system(tmp_path / "small") as folder:
        yield folder


def archive(*urls: str) -> Archive:
    return Archive("data.bin", urls, bytes=len(CONTENT), sha256=SHA256)


def get(wanted: Archive, folder: Path) -> dict[str, object]:
    return fetch(wanted, folder, lambda done, total: None, backoff=0.001)


def failure(wanted: Archive, folder: Path) -> str:
    with pytest.raises(UserError) as error:
        get(wanted, folder)
    return str(error.value)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def test_fetches_verifies_and_keeps(base: str, log: list[Request], tmp_path: Path) -> None:
    seen = []
    record = fetch(archive(f"{base}/data.bin"), tmp_path / "d", lambda done, total: seen.append((done, total)))
    expected = {"name": "data.bin", "bytes": 300_000, "sha256": SHA256}
    assert record == expected | {"url": f"{base}/data.bin"}
    assert (tmp_path / "d/data.bin").read_bytes() == CONTENT
    assert seen[-1] == (300_000, 300_000)
    assert get(archive(f"{base}/data.bin"), tmp_path / "d") == expected
    assert len(log) == 1, "a verified file is not asked for again"


def test_only_an_md5_is_known(base: str, tmp_path: Path) -> None:
    md5 = hashlib.md5(CONTENT).hexdigest()
    wanted = replace(archive(f"{base}/data.bin"), sha256=None, md5=md5)
    assert get(wanted, tmp_path / "d")["sha256"] == SHA256
    message = failure(replace(wanted, urls=(f"{base}/wrong/data.bin",)), tmp_path / "e")
    assert f"expected md5 {md5}, found " in message


def test_checksum_mismatch(base: str, tmp_path: Path) -> None:
    found = hashlib.sha256(bytes([CONTENT[0] ^ 0xFF]) + CONTENT[1:]).hexdigest()
    message = failure(archive(f"{base}/wrong/data.bin"), tmp_path / "d")
    assert f"{base}/wrong/data.bin: data.bin is damaged there, or another file" in message
    assert f"expected sha256 {SHA256}, found {found}" in message
    assert names(tmp_path / "d") == []


def test_a_file_that_was_there_is_another(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    assert "expected 300,000 bytes, found 4. Remove it" in failure(archive(DEAD), tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == b"mine", "what the user put there is not touched"


@pytest.mark.parametrize("known_size", [True, False])
def test_truncated_at_the_mirror(base: str, tmp_path: Path, known_size: bool) -> None:
    wanted = archive(f"{base}/truncated/1000/data.bin")
    message = failure(wanted if known_size else replace(wanted, bytes=None), tmp_path / "d")
    assert ("expected 300,000 bytes, found 1,000" if known_size else f"expected sha256 {SHA256}") in message
    assert names(tmp_path / "d") == []


@pytest.mark.parametrize("fault", ["html", "page"])
def test_web_page_in_place_of_the_file(base: str, tmp_path: Path, fault: str) -> None:
    message = failure(replace(archive(f"{base}/{fault}/data.bin"), bytes=None), tmp_path / "d")
    assert f"{base}/{fault}/data.bin: answered with a web page (HTML) in place of the file" in message
    assert names(tmp_path / "d") == []


def test_no_mirror_has_it(base: str, log: list[Request], tmp_path: Path) -> None:
    message = failure(archive(f"{base}/missing/data.bin", f"{base}/elsewhere.bin"), tmp_path / "d")
    assert "data.bin could not be downloaded" in message
    assert f"{base}/missing/data.bin: answered 404 Not Found" in message
    assert f"{base}/elsewhere.bin: answered 404 Not Found" in message
    assert len(log) == 2, "a 404 is not tried again"
    assert names(tmp_path / "d") == []


def test_not_an_address(tmp_path: Path) -> None:
    assert "ftp://x/data.bin: not an http address" in failure(archive("ftp://x/data.bin"), tmp_path)


def test_first_mirror_dead_second_alive(base: str, tmp_path: Path) -> None:
    record = get(archive(f"{DEAD}/data.bin", f"{base}/data.bin"), tmp_path / "d")
    assert record["url"] == f"{base}/data.bin"
    assert names(tmp_path / "d") == ["data.bin"]


def test_busy_server_is_asked_again(base: str, log: list[Request], tmp_path: Path) -> None:
    get(archive(f"{base}/busy/data.bin"), tmp_path / "d")
    assert len(log) == 2


def test_reset_then_resume(base: str, log: list[Request], tmp_path: Path) -> None:
    get(archive(f"{base}/reset/200000/data.bin"), tmp_path / "d")
    assert (tmp_path / "d/data.bin").read_bytes() == CONTENT
    first, second, *_ = log
    assert first.range is None
    assert second.range is not None and 0 < int(second.range.removeprefix("bytes=").removesuffix("-")) <= 200_000
    assert second.if_range == '"300000"', "a file that has changed in between is not continued"


def test_taken_up_again_in_another_run_from_another_mirror(base: str, log: list[Request], tmp_path: Path) -> None:
    message = failure(archive(f"{base}/reset/40000/data.bin"), tmp_path / "d")
    assert f"in attempt {archives.ATTEMPTS} of {archives.ATTEMPTS}" in message
    assert names(tmp_path / "d") == ["data.bin.part"]
    size = (tmp_path / "d/data.bin.part").stat().st_size
    get(archive(f"{base}/data.bin"), tmp_path / "d")
    assert log[-1].range == f"bytes={size}-"
    assert names(tmp_path / "d") == ["data.bin"]


def test_server_that_does_not_resume(base: str, log: list[Request], tmp_path: Path) -> None:
    get(archive(f"{base}/restart/100000/data.bin"), tmp_path / "d")
    assert log[1].range is not None
    assert (tmp_path / "d/data.bin").read_bytes() == CONTENT


def test_piece_of_another_file(base: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"piece of another file")
    get(archive(f"{base}/data.bin"), tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_piece_beyond_the_end(base: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT + b"more")
    get(replace(archive(f"{base}/data.bin"), bytes=None), tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_nothing_pinned_so_nothing_resumed(base: str, log: list[Request], tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"piece of another file")
    get(Archive("data.bin", (f"{base}/data.bin",)), tmp_path)
    assert log[0].range is None
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_label_gzip_is_not_unpacked_on_the_way(tmp_path: Path) -> None:
    packed = gzip.compress(b"content")
    (tmp_path / "a.tar.gz").write_bytes(packed)
    with serve(tmp_path) as base:
        wanted = Archive("a.tar.gz", (f"{base}/gzipped/a.tar.gz",), sha256=hashlib.sha256(packed).hexdigest())
        get(wanted, tmp_path / "d")
    assert (tmp_path / "d/a.tar.gz").read_bytes() == packed


def test_slow_server(base: str, tmp_path: Path) -> None:
    assert get(archive(f"{base}/slow/data.bin"), tmp_path / "d")["sha256"] == SHA256


def test_no_space_is_seen_before_the_download(base: str, small_disk: Path) -> None:
    message = failure(archive(f"{base}/data.bin"), small_disk)
    assert f"no space left in {small_disk}: 131,072 bytes are free, 300,000 bytes are needed" in message
    assert names(small_disk) == []


def test_no_space_while_writing(base: str, small_disk: Path) -> None:
    message = failure(replace(archive(f"{base}/unsized/data.bin"), bytes=None), small_disk)
    assert f"no space left in {small_disk}: 0 bytes are free, more is needed" in message
    assert names(small_disk) == ["data.bin.part"], "to be taken up again once there is room"


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for info, content in members:
            file.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return path


def refusal(path: Path, out: Path) -> str:
    with pytest.raises(UserError) as error, unpacked([path], out):
        pass
    return str(error.value)


def test_unpacks_beside_the_output_and_clears_up(tmp_path: Path) -> None:
    folder = member("./d", b"", type=tarfile.DIRTYPE)
    path = tar(tmp_path / "a.tar.gz", folder, member("./d/one.txt", b"1"), member("two.txt", b"2"))
    with unpacked([path], tmp_path / "out/data") as source:
        assert source.parent == tmp_path / "out"
        assert (source / "d/one.txt").read_bytes() == b"1"
        assert (source / "two.txt").read_bytes() == b"2"
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (member("../outside"), "'../outside' leads out of the folder"),
        (member("d/../../outside"), "'d/../../outside' leads out of the folder"),
        (member("/tmp/outside"), "'/tmp/outside' leads out of the folder"),
        (member("link", b"", type=tarfile.SYMTYPE, linkname="/etc"), "'link' is neither a plain file nor a folder"),
        (member("hard", b"", type=tarfile.LNKTYPE, linkname="good"), "'hard' is neither a plain file nor a folder"),
        (member("zero", b"", type=tarfile.CHRTYPE, devmajor=1), "'zero' is neither a plain file nor a folder"),
        (member("pipe", b"", type=tarfile.FIFOTYPE), "'pipe' is neither a plain file nor a folder"),
    ],
)
def test_members_that_are_refused(tmp_path: Path, info: tuple[tarfile.TarInfo, bytes], reason: str) -> None:
    path = tar(tmp_path / "a.tar.gz", member("good"), info)
    message = refusal(path, tmp_path / "out/data")
    assert str(path) in message and reason in message
    assert names(tmp_path) == ["a.tar.gz", "out"]
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_truncated_archive(tmp_path: Path, kept: float) -> None:
    path = tar(tmp_path / "a.tar.gz", *(member(f"{i}.bin", CONTENT[1000 * i : 1000 * (i + 1)]) for i in range(100)))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert f"{path} is truncated or not a tar.gz archive" in refusal(path, tmp_path / "out/data")
    assert names(tmp_path / "out") == []


def test_checksum_at_the_end_of_the_archive(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar.gz", member("good"))
    content = path.read_bytes()
    for spoiled in (content[:-4], content[:-8] + b"\0" + content[-7:]):
        path.write_bytes(spoiled)
        assert f"{path} is truncated" in refusal(path, tmp_path / "out/data")


def test_folder_of_a_run_that_was_killed(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar.gz", member("new"))
    with unpacked([path], tmp_path / "out/data") as source:
        left = source
    left.mkdir()
    (left / "old").touch()
    with unpacked([path], tmp_path / "out/data") as source:
        assert names(source) == ["new"]
    assert names(tmp_path / "out") == []


def test_not_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"plain text")
    assert f"{path} is truncated or not a tar.gz archive" in refusal(path, tmp_path / "out/data")


def test_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALLEST_LIMIT", 1 << 20)
    path = tar(tmp_path / "a.tar.gz", member("zeros", bytes(2 << 20)))
    assert f"{path} unpacks to more than 1,048,576 bytes, 20 times its size: refused" in refusal(path, tmp_path / "o/d")
    assert names(tmp_path / "o") == []


def test_no_space_while_unpacking(tmp_path: Path, small_disk: Path) -> None:
    path = tar(tmp_path / "a.tar.gz", member("data.bin", CONTENT))
    assert f"no space left in {small_disk}" in refusal(path, small_disk / "data")
    assert names(small_disk) == []
