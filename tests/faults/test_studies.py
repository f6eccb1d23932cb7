"""Whole studies in which something fails: what is right is kept, what is missing is named, the exit code says so."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from flexifed.study import config
from flexifed.system import locks
from tests.faults.conftest import FEW
from tests.miniature import small_file_system
from tests.workflow.conftest import REPOSITORY, copy

long = pytest.mark.skipif(FEW, reason="takes minutes: make faults")

Tally = Callable[..., None]
STRATEGIES = ["standalone", "clustered_fl", "basic_common", "clustered_common", "max_common"]


@dataclass(frozen=True)
class Study:
    """A private checkout with one study in place of that of `make quick`, run as `make` runs it."""

    folder: Path
    file: Path

    @property
    def results(self) -> Path:
        return self.folder / "results/faulty"

    def command(self, *arguments: str) -> list[str]:
        profile = ["--profile", "profiles/local", "--configfile", str(self.file)]
        return [sys.executable, "-m", "snakemake", *arguments, *profile]

    def snakemake(self, *arguments: str) -> tuple[int, str]:
        """Exit code and what was printed."""
        return self._run(self.command(*arguments))

    def make(self) -> tuple[int, str]:
        """The same through the Makefile."""
        (self.folder / ".venv").mkdir(exist_ok=True)
        (self.folder / ".venv/.installed").touch()
        return self._run(["make", "quick", f"BIN={Path(sys.executable).parent}"])

    def _run(self, command: list[str]) -> tuple[int, str]:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return done.returncode, done.stdout

    def cells(self) -> list[str]:
        return [str(cell) for cell in config.read(self.file).cells()]

    def finished(self) -> dict[str, bytes]:
        """The bytes of the history of every cell that has a record."""
        return {
            record.parent.relative_to(self.results / "cells").as_posix(): (
                record.parent / "history.parquet"
            ).read_bytes()
            for record in (self.results / "cells").rglob("run.json")
        }


def study(folder: Path, n_cells: int, **hot: object) -> Study:
    """A study of the digits: `n_cells`, of which the only one of protocol `hot` has the settings given."""
    short = {"preset": "official", "clients": 4, "rounds": 1, "slices": 40, "local_epochs": 1}
    n_seeds = -(-(n_cells - 1) // len(STRATEGIES))
    blocks = [{"dataset": "digits", "families": ["vgg"], "protocols": ["plain"], "seeds": list(range(n_seeds))}]
    while len(STRATEGIES) * n_seeds > n_cells - 1:
        n_seeds -= 1
        rest = n_cells - 1 - len(STRATEGIES) * n_seeds
        blocks = [
            {**blocks[0], "seeds": list(range(n_seeds))},
            {**blocks[0], "seeds": [n_seeds], "strategies": STRATEGIES[:rest]},
        ]
    blocks.append(
        {"dataset": "digits", "families": ["vgg"], "protocols": ["hot"], "seeds": [0], "strategies": ["max_common"]}
    )
    values = {
        "study": "faulty",
        "blocks": [block for block in blocks if block["seeds"]],
        "strategies": STRATEGIES,
        "seeds": [0],
        "protocols": {"plain": short, "hot": {**short, **hot}},
        "families": {"vgg": {"width": 0.0625}},
    }
    made = Study(copy(folder), folder / "config/quick.yaml")
    shutil.copy(REPOSITORY / "Makefile", made.folder)
    shutil.copy(REPOSITORY / "requirements.txt", made.folder)
    made.file.write_text(yaml.safe_dump(values))
    assert len(made.cells()) == n_cells
    return made


def n_trained(output: str) -> int:
    return len(re.findall(r"^(?:local)?rule train:", output, re.M))


@dataclass(frozen=True)
class Failed:
    """A study that has been run once, in which the cell `BAD` diverged."""

    study: Study
    code: int
    output: str


BAD = "digits/vgg/max_common/hot/seed0"


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Failed:
    """Of twenty cells (in a short run of two) one diverges."""
    faulty = study(
        tmp_path_factory.mktemp("study") / "checkout", 2 if FEW else 20, optimiser={"learning_rate": 1e30}, slices=1
    )
    return Failed(faulty, *faulty.make())


def test_a_failing_cell_leaves_the_others(failed: Failed, tally: Tally) -> None:
    faulty, n_cells = failed.study, len(failed.study.cells())
    assert failed.code != 0
    assert "round 1: the training loss of client" in failed.output
    end = failed.output.splitlines()[-12:]
    place = end.index("1 job failed. The last line of its log:")
    assert end[place + 1] == f"  results/faulty/logs/cells/{BAD}.log"
    assert end[place + 2].startswith("    round 1: the training loss of client")
    assert set(faulty.finished()) == set(faulty.cells()) - {BAD}
    left = {path.name for path in (faulty.results / "cells" / BAD).iterdir()}
    assert left == {".lock", "failed.json"}, "a failed cell publishes nothing"

    table = pd.read_csv(faulty.results / "tables/table1.csv")
    missing = table[table["protocol"] == "hot"]
    assert (missing["n_seeds"] == 0).all() and missing["mean"].isna().all() and (missing["note"] == "missing").all()
    assert (table.loc[table["protocol"] == "plain", "n_seeds"] > 0).all()
    report = (faulty.results / "report.html").read_text()
    assert f"<li>{BAD}</li>" in report and f"1 of {n_cells} runs are missing" in report
    assert "Missing: no cell of this block is there." in report
    assert (faulty.results / "figures/convergence.digits.vgg.hot.png").exists()
    tally(f"one cell of {n_cells} fails, of the others", unit="lost")


@pytest.fixture(scope="module")
def finished(failed: Failed) -> Study:
    """The study once it is mended and done."""
    faulty, first = failed.study, failed.study.finished()
    if not FEW:
        code, output = faulty.make()
        assert code != 0 and n_trained(output) == 1, "the failed cell is tried again, and no other"
    mended = faulty.file.read_text().replace("1.0e+30", "0.01")
    faulty.file.write_text(mended)
    code, output = faulty.make()
    assert code == 0, output[-3000:]
    assert n_trained(output) == 1
    second = faulty.finished()
    assert set(second) == set(faulty.cells())
    assert all(second[cell] == content for cell, content in first.items())
    assert "runs are missing" not in (faulty.results / "report.html").read_text()
    return faulty


@long
def test_a_spoiled_partition_fails_its_cells_only(finished: Study, tally: Tally) -> None:
    path = finished.results / "partitions/digits/hot/seed0.parquet"
    content = path.read_bytes()
    n_cells = len(finished.cells())
    path.write_bytes(content[:200] + b"\0" + content[201:])
    try:
        shutil.rmtree(finished.results / "cells" / BAD)
        code, output = finished.snakemake()
        assert code != 0
        assert str(path.relative_to(finished.folder)) in output and "is damaged" in output
        assert len(finished.finished()) == n_cells - 1
        code, output = finished.snakemake("--config", "partial=true")
        assert code == 0, output[-3000:]
        assert f"<li>{BAD}</li>" in (finished.results / "report.html").read_text()
    finally:
        path.write_bytes(content)
    code, output = finished.snakemake()
    assert code == 0 and len(finished.finished()) == n_cells
    tally("spoiled partition of one cell")


@long
def test_results_of_other_settings_are_not_reported(finished: Study, tally: Tally) -> None:
    """A report from the cells that are there must not take one that was trained before a change."""
    path = finished.file
    text = path.read_text()
    path.write_text(text.replace("width: 0.0625", "width: 0.125"))
    try:
        before = finished.finished()
        code, output = finished.snakemake("--config", "partial=true")
        assert code == 0, output[-3000:]
        n_cells = len(finished.cells())
        assert f"{n_cells} of {n_cells} runs are missing" in (finished.results / "report.html").read_text()
        assert finished.finished() == before
    finally:
        path.write_text(text)
    assert finished.snakemake()[0] == 0
    tally("report after a change of settings, before training")


@pytest.fixture
def read_only(failed: Failed) -> Iterator[Path]:
    """A results folder on a file system that is mounted read-only."""
    results, aside = failed.study.folder / "results", failed.study.folder / "aside"
    results.rename(aside)
    try:
        with small_file_system(results) as folder:
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
            yield folder
    finally:
        if results.exists():
            results.rmdir()
        aside.rename(results)


def test_a_read_only_results_folder_stops_before_any_job(failed: Failed, read_only: Path, tally: Tally) -> None:
    code, output = failed.study.snakemake()
    assert code != 0
    assert "may not write results/faulty: Read-only file system" in output
    assert "Traceback" not in output and "rule " not in output
    tally("read-only results folder")


def test_two_drivers_on_one_results_folder(failed: Failed, tally: Tally) -> None:
    """The second one is stopped by Snakemake's lock; the first one comes to its end.

    A driver of another study takes that lock away when it ends, and a third one of the same study is then stopped by
    the lock of the cell: what docs/scale.md says.
    """
    both, before = failed.study, failed.study.finished()
    cell = sorted(before)[0]
    target = (f"results/faulty/cells/{cell}/run.json", "--force")
    with (both.folder / "first.log").open("w") as log:
        first = subprocess.Popen(both.command(*target), cwd=both.folder, stdout=log, stderr=subprocess.STDOUT)
        # Snakemake locks inputs, then outputs; a lock that was caught before its files are named in it holds nobody.
        while not any(lock.stat().st_size for lock in (both.folder / ".snakemake/locks").glob("*.output.lock")):
            assert first.poll() is None, (both.folder / "first.log").read_text()[-3000:]
            time.sleep(0.01)
        held = list((both.folder / ".snakemake/locks").glob("*"))
        first.send_signal(signal.SIGSTOP)  # it holds its lock until the others have come, however slow that is
        try:
            code, output = both.snakemake(*target)
            assert code != 0 and "Directory cannot be locked" in output
            assert all(lock.exists() for lock in held)
            other = another_study(both)
            assert other.snakemake("results/other/plans/vgg/max_common/plain.json")[0] == 0
            assert not any(lock.exists() for lock in held)
            with locks.alone(both.results / "cells" / cell / ".lock", "this test"):
                code, output = both.snakemake(*target)
            assert code != 0 and f"is under way in another process ({os.getpid()})" in output
        finally:
            first.send_signal(signal.SIGCONT)
        assert first.wait() == 0, (both.folder / "first.log").read_text()[-3000:]
    assert both.finished() == before
    tally("second driver on the same results")


def another_study(one: Study) -> Study:
    """The same study under another name, in the same folder."""
    file = one.folder / "config/other.yaml"
    file.write_text(one.file.read_text().replace("study: faulty", "study: other"))
    return replace(one, file=file)
