"""The jobs that failed in a run of Snakemake, from its own log, with what each said last."""

from pathlib import Path

import pytest

from flexifed.system import failures

JOB = """[Tue Nov 24 19:01:24 2026]
Error in rule {rule}:
    message: None
    jobid: 5
    input: data/card.json, data/train.npy
    output: {rule}.parquet, {rule}.json
    log: logs/{rule}.log (check log file(s) for error details)
Logfile logs/{rule}.log:
================================================================================
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the log of a run in which `train` and `prepare` failed, `train` twice."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "snakemake.log").write_text("".join(JOB.format(rule=rule) for rule in ("train", "prepare", "train")))
    return tmp_path


def test_each_failed_job_is_listed_once_with_its_last_line(run: Path) -> None:
    (run / "logs/train.log").write_text("2026-11-24 19:00:41,373 begun\n2026-11-24 19:01:17,194 round 2: nan\n\n")
    (run / "logs/prepare.log").write_text("Traceback (most recent call last):\nValueError: no\n")
    assert failures.listed([Path("snakemake.log")]).splitlines() == [
        "2 jobs failed. Their logs' ends:",
        "  logs/train.log",
        "    round 2: nan",
        "  logs/prepare.log",
        "    ValueError: no",
    ]


def test_a_job_that_came_to_its_end_at_another_attempt_did_not_fail(run: Path) -> None:
    (run / "train.parquet").touch()
    (run / "logs/prepare.log").touch()
    assert failures.listed([Path("snakemake.log")]).splitlines() == [
        "1 job failed. The last line of its log:",
        "  logs/prepare.log",
        "    (an empty log)",
    ]


def test_a_job_without_a_log_is_listed_too(run: Path) -> None:
    assert failures.listed([Path("snakemake.log")]).count("it left no log") == 2


def test_where_nothing_failed_nothing_is_said(run: Path) -> None:
    (run / "snakemake.log").write_text("100 % done\n")
    assert failures.listed([Path("snakemake.log")]) == ""
