"""A queue of reference cells on the CPU, with narrow families: begun, killed, resumed, published, and no cell twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from flexifed import config, files, locks, queue, registry, sidebyside, single
from flexifed.queue import Queue
from tests.unit import federations

ROUNDS = 3
STRATEGIES = ["standalone", "max_common"]
STUDY = {
    "study": "narrow",
    "blocks": [{"dataset": "digits", "families": ["vgg"]}],
    "strategies": STRATEGIES,
    "seeds": [0],
    "protocols": {"tiny": {"preset": "official", "clients": 4, "rounds": ROUNDS, "local_epochs": 1, "batch_size": 8}},
    "families": {"vgg": {"width": 0.0625}},
    "checkpoint_minutes": 0,
}


def write_queue(folder: Path, **changes: object) -> None:
    study = config.parse({**STUDY, **changes})
    (folder / "reference").mkdir(exist_ok=True)
    (folder / "reference/queue.jsonl").write_text(queue.text([study.run(cell) for cell in study.cells()]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a queue of two cells in `reference/` and small data for them."""
    monkeypatch.chdir(tmp_path)
    write_queue(tmp_path)
    federations.prepared(tmp_path / "results/narrow/data/digits", n_train=320, n_test=160)
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`python -m flexifed reference`, as on a machine without pydantic and Snakemake."""
    program = (
        f"import sys, runpy; sys.path.insert(0, {str(registry.PACKAGE.parent)!r});"
        "sys.modules['pydantic'] = sys.modules['snakemake'] = None;"
        f"sys.argv = ['flexifed', 'reference', 'reference', *{list(arguments)!r}];"
        "runpy.run_module('flexifed', run_name='__main__')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def work(folder: Path, *arguments: str, code: int = 0) -> tuple[list[str], str]:
    """The standings that are printed in the end, and what is said on the way."""
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return [line.split()[0] for line in out.splitlines()], err


def states(place: str = "reference") -> list[str]:
    return [standing.state for standing in Queue(Path("reference"), Path(place)).standings()]


def cell(place: str, strategy: str = "standalone") -> Path:
    return Path(place) / f"cells/digits/vgg/{strategy}/tiny/seed0"


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to this"
        time.sleep(0.02)


def test_everything_is_run_once_and_published(folder: Path) -> None:
    found, said = work(folder, "--minutes", "5", "--jobs", "2")
    assert found == ["done", "done"]
    assert said.count("started") == said.count("finished") == 2
    for strategy in STRATEGIES:
        history = (cell("reference", strategy) / "history.parquet").read_bytes()
        assert history == (cell("results/narrow", strategy) / "history.parquet").read_bytes()
        assert files.read_json(cell("reference", strategy) / "run.json")["side_by_side"] == 2
    assert Path("reference/plans/vgg/max_common/tiny.json").is_file()
    found, said = work(folder, "--minutes", "5")
    assert found == ["done", "done"]
    assert "started" not in said


def test_at_the_deadline_a_cell_stops_after_its_round_and_goes_on_next_time(folder: Path) -> None:
    write_queue(folder, protocols={"tiny": {**STUDY["protocols"]["tiny"], "rounds": 2000}})  # type: ignore[index]
    begun = time.monotonic()
    found, said = work(folder, "--minutes", "0.25")
    assert time.monotonic() - begun < 60
    assert found == ["begun", "missing"]
    assert "stopped" in said
    done = int(max(path.stem for path in (cell("results/narrow") / "checkpoints").glob("*.json")).removeprefix("round"))
    assert 0 < done < 2000
    found, _ = work(folder, "--minutes", "0.25")
    log = Path("results/narrow/logs/cells/digits/vgg/standalone/tiny/seed0.log").read_text()
    assert f"continuing after round {done}" in log


def killed(folder: Path, when: Callable[[], object]) -> Iterator[int]:
    """Start the queue, kill -9 it and its cells when something is so; gives nothing that could tidy up a chance to."""


def kill_when(folder: Path, condition: Callable[[], object]) -> None:
    """Work on the queue and kill -9 it with its cell as soon as something is so."""
    process = start(folder, "--minutes", "5")
    until(condition)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    until(lambda: "running" not in states())  # its cell follows it


def test_after_kill_9_nothing_is_lost_and_nothing_is_run_twice(folder: Path) -> None:
    whole = folder / "whole"
    for run in Queue(Path("reference")).runs:
        os.rename(single.run(run, "cpu"), whole / run.job.cell.strategy) if whole.mkdir(exist_ok=True) is None else None
    kill_when(folder, lambda: list(cell("results/narrow").glob("checkpoints/*.json")))
    assert states()[0] in ("begun", "trained")
    kill_when(folder, lambda: (cell("results/narrow") / "run.json").exists())
    found, _ = work(folder, "--minutes", "5")
    assert found == ["done", "done"]
    for strategy in STRATEGIES:
        record = files.read_json(cell("reference", strategy) / "run.json")
        history = cell("reference", strategy) / "history.parquet"
        assert history.read_bytes() == (whole / strategy / "history.parquet").read_bytes()
        firsts = [session["first"] for session in record["sessions"]]
        assert firsts == sorted(set(firsts))
