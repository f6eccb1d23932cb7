"""Downloads over real HTTP: whatever the network does, nothing but a verified archive is ever under its final name."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexifed.data import archives
from flexifed.data.archives import Archive, fetch
from flexifed.system.errors import UserError
from tests.miniature import Request, serve

CONTENT = np.random.default_rng(0).bytes(1_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "data.bin"
DEAD = f"http://127.0.0.1:1/{NAME}"  # nobody listens on this port
AGAIN = "bytes received again"

Tally = Callable[..., None]


@pytest.fixture
def base(tmp_path: Path, log: list[Request]) -> Iterator[str]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    with serve(folder, log=log) as url:
        yield url


def archive(*urls: str, **changes: Any) -> Archive:
    return replace(Archive(NAME, urls, bytes=len(CONTENT), sha256=SHA256), **changes)


def sound(folder: Path) -> bool:
    """Whether the archive is there; fails where anything else has its name."""
    path = folder / NAME
    if path.exists():
        assert path.read_bytes() == CONTENT, "something that was not verified is under the final name"
    left = {p.name for p in folder.iterdir() if p.is_file()}
    assert left <= {NAME, f"{NAME}.part", f".{NAME}.lock"}
    return path.exists()


def get(wanted: Archive, folder: Path) -> int:
    """Fetch it; nothing is under the final name meanwhile. Returns how many bytes were received and not kept."""
    partial = folder / f"{NAME}.part"
    before = last = partial.stat().st_size if partial.exists() else 0
    received = 0

    def progress(done: int, total: int) -> None:
        nonlocal last, received
        assert not (folder / NAME).exists()
        received += done - last if done > last else done
        last = done

    try:
        fetch(wanted, folder, progress, backoff=0.001)
    except UserError:
        assert not sound(folder)
        raise
    assert sound(folder) and not partial.exists()
    return before + received - len(CONTENT)


def refused(wanted: Archive, folder: Path) -> str:
    with pytest.raises(UserError) as error:
        get(wanted, folder)
    assert wanted.urls[0] in str(error.value)
    return str(error.value)


def offsets(purpose: str, count: int) -> list[int]:
    rng = random.Random(purpose)
    return [rng.randrange(1, len(CONTENT)) for _ in range(count)]


@pytest.mark.parametrize("size_known", [True, False])
def test_connection_reset_at_random_offsets(
    base: str, tmp_path: Path, count: int, tally: Tally, size_known: bool
) -> None:
    for number, offset in enumerate(offsets("reset", count)):
        bad, folder = f"{base}/reset/{offset}/{NAME}", tmp_path / f"{number}"
        wanted = archive(bad, f"{base}/{NAME}", bytes=len(CONTENT) if size_known else None)
        lost = get(wanted, folder)
        assert lost <= archives.ATTEMPTS * archives.PIECE
        tally("connection reset at a random byte, each answer", lost=lost, unit=AGAIN)


def test_connection_closed_early_at_random_offsets(base: str, tmp_path: Path, count: int, tally: Tally) -> None:
    for number, offset in enumerate(offsets("short", count)):
        lost = get(archive(f"{base}/short/{offset}/{NAME}"), tmp_path / f"{number}")
        assert lost <= archives.PIECE
        tally("connection closed at a random byte", lost=lost, unit=AGAIN)


def test_stalled_server(base: str, tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "TIMEOUT", (1, 0.2))
    lost = get(archive(f"{base}/stalled/500000/{NAME}"), tmp_path / "d")
    assert lost <= archives.PIECE
    tally("server stalls in the middle", lost=lost, unit=AGAIN)


def test_slow_server(base: str, tmp_path: Path, tally: Tally) -> None:
    tally("slow server", lost=get(archive(f"{base}/slow/{NAME}"), tmp_path / "d"), unit=AGAIN)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_busy_server_is_asked_again(base: str, log: list[Request], tmp_path: Path, tally: Tally, status: int) -> None:
    assert get(archive(f"{base}/once/{status}/{NAME}"), tmp_path / "d") == 0
    assert len(log) == 2
    assert f"answered {status} " in refused(archive(f"{base}/status/{status}/{NAME}"), tmp_path / "e")
    assert len(log) == 2 + archives.ATTEMPTS
    tally("busy or broken server (408, 429, 500, 502, 503)", times=2)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_refusal_moves_on_to_the_next_mirror(
    base: str, log: list[Request], tmp_path: Path, tally: Tally, status: int
) -> None:
    assert get(archive(f"{base}/status/{status}/{NAME}", f"{base}/{NAME}"), tmp_path / "d") == 0
    assert len(log) == 2, "asked once"
    tally("refused by mirror 1 (401, 403, 404, 410), mirror 2 alive")


def test_dead_mirror(base: str, tmp_path: Path, tally: Tally) -> None:
    assert get(archive(DEAD, f"{base}/{NAME}"), tmp_path / "d") == 0
    assert "ConnectionError in attempt 5 of 5" in refused(archive(DEAD), tmp_path / "e")
    tally("mirror 1 dead, mirror 2 alive")


def test_second_mirror_continues_what_the_first_began(
    base: str, log: list[Request], tmp_path: Path, count: int, tally: Tally
) -> None:
    for number, offset in enumerate(offsets("mirror", count)):
        offset = offset // archives.ATTEMPTS
        lost = get(archive(f"{base}/reset/{offset}/{NAME}", f"{base}/{NAME}"), tmp_path / f"{number}")
        assert log[-1].path == f"/{NAME}"
        assert lost <= archives.ATTEMPTS * archives.PIECE
        tally("mirror 1 dies on the way, mirror 2 continues", lost=lost, unit=AGAIN)


def test_redirect(base: str, tmp_path: Path, tally: Tally) -> None:
    assert get(archive(f"{base}/moved/{NAME}"), tmp_path / "d") == 0
    assert "TooManyRedirects" in refused(archive(f"{base}/circle/{NAME}"), tmp_path / "e")
    tally("redirect, and a redirect in a circle", times=2)


@pytest.mark.parametrize("fault", ["wrong", "truncated/1000", "html", "page"])
@pytest.mark.parametrize("size_known", [True, False])
def test_another_file(base: str, tmp_path: Path, tally: Tally, fault: str, size_known: bool) -> None:
    bad = f"{base}/{fault}/{NAME}"
    size = len(CONTENT) if size_known else None
    refused(archive(bad, bytes=size), tmp_path / "d")
    get(archive(bad, f"{base}/{NAME}", bytes=size), tmp_path / "e")
    tally("wrong length, wrong checksum, web page in its place")


def test_answer_that_never_ends(base: str, tmp_path: Path, tally: Tally) -> None:
    received = []
    with pytest.raises(UserError, match="expected 1,000,000 bytes, found 1,0"):
        fetch(archive(f"{base}/endless/{NAME}"), tmp_path, lambda done, _: received.append(done), backoff=0.001)
    assert max(received) <= len(CONTENT) + archives.PIECE
    assert not sound(tmp_path)
    tally("answer that never ends")


def test_server_that_does_not_resume(base: str, log: list[Request], tmp_path: Path, count: int, tally: Tally) -> None:
    for number, offset in enumerate(offsets("restart", count)):
        lost = get(archive(f"{base}/restart/{offset}/{NAME}"), tmp_path / f"{number}")
        assert log[-1].range and lost <= offset
        tally("server ignores Range", lost=lost, unit=AGAIN)


def test_server_that_resumes_elsewhere(base: str, tmp_path: Path, count: int, tally: Tally) -> None:
    for number, offset in enumerate(offsets("misplaced", count)):
        lost = get(archive(f"{base}/misplaced/{offset}/{NAME}"), tmp_path / f"{number}")
        tally("server answers Range with another part", lost=lost, unit=AGAIN)


def test_file_that_changes_between_attempts(base: str, tmp_path: Path, count: int, tally: Tally) -> None:
    """Without an ETag only the digest tells."""
    for number, offset in enumerate(offsets("other", count)):
        lost = get(archive(f"{base}/other/{offset}/{NAME}"), tmp_path / f"{number}")
        tally("file changes between two attempts", lost=lost, unit=AGAIN)


@pytest.mark.parametrize("size_known", [True, False])
def test_partial_of_any_size(
    base: str, log: list[Request], tmp_path: Path, count: int, tally: Tally, size_known: bool
) -> None:
    for number, offset in enumerate([0, len(CONTENT), *offsets("partial", count)]):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / f"{NAME}.part").write_bytes(CONTENT[:offset])
        log.clear()
        lost = get(archive(f"{base}/{NAME}", bytes=len(CONTENT) if size_known else None), folder)
        assert lost == 0
        assert [request.range for request in log] in ([f"bytes={offset}-"], [None] if not offset else [])
        tally("partial file from another run")


def test_spoiled_partial(base: str, tmp_path: Path, count: int, tally: Tally) -> None:
    for number, offset in enumerate(offsets("spoiled", count)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / f"{NAME}.part").write_bytes(CONTENT[:offset] + b"\0" + CONTENT[offset + 2 :][: len(CONTENT) // 3])
        tally("partial file with a flipped or missing byte", lost=get(archive(f"{base}/{NAME}"), folder), unit=AGAIN)


def test_faults_at_random(base: str, tmp_path: Path, count: int, tally: Tally) -> None:
    for seed in range(10 * count):
        folder = tmp_path / f"{seed}"
        try:
            lost = get(archive(f"{base}/chaos/{seed}/{NAME}", bytes=None if seed % 2 else len(CONTENT)), folder)
        except UserError:
            lost = get(archive(f"{base}/{NAME}"), folder)
        tally("three random faults one after the other", lost=lost, unit=AGAIN)


DOWNLOAD = """
import sys
from pathlib import Path
from flexifed.data.archives import Archive, fetch
name, url, sha256, folder = sys.argv[1:]
fetch(Archive(name, (url,), sha256=sha256), Path(folder), lambda done, total: None, backoff=0.001)
"""


def downloading(url: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", DOWNLOAD, NAME, url, SHA256, str(folder)])


def test_resumed_across_a_kill(base: str, log: list[Request], tmp_path: Path, count: int, tally: Tally) -> None:
    rng = random.Random("kill")
    for number in range(count):
        folder = tmp_path / f"{number}"
        log.clear()
        process = downloading(f"{base}/slow/{NAME}", folder)
        while not log and process.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.45))  # sixteen pieces with a pause of 0.02 s before each
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        partial = folder / f"{NAME}.part"
        kept = partial.stat().st_size if partial.exists() else 0
        if not sound(folder):
            assert get(archive(f"{base}/{NAME}", bytes=None), folder) == 0
            assert log[-1].range == (f"bytes={kept}-" if kept else None), "what was received is kept"
        tally("kill -9 of a download, then again")


def test_two_processes_want_the_same_file(base: str, log: list[Request], tmp_path: Path, tally: Tally) -> None:
    both = [downloading(f"{base}/slow/{NAME}", tmp_path / "d") for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert sound(tmp_path / "d")
    assert len(log) == 1, "the second one waits and takes the first one's file"
    tally("two processes download the same file")
