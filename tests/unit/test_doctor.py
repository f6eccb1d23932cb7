"""What a machine has, as `flexifed doctor` says it, against machines that are made here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flexifed import doctor
from flexifed.doctor import data, hardware, software
from flexifed.doctor.finding import Finding, table
from flexifed.system import machine

ROOT = Path(__file__).parents[2]


def command(folder: Path, name: str, script: str) -> None:
    """An executable that the tests put before those of the machine."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def found(findings: list[Finding], name: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.name == name]
    return finding


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, whose executables are the only ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path


def test_what_has_advice_is_marked_and_told_again_in_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "DISK", 1e18)
    text = doctor.examine(measure=False)
    assert "\n! disk " in text and "Times" not in text
    assert text.rpartition("To do\n")[2].startswith("  - disk: the paper's data sets take 1,000,000,000 GB;")
    assert table([Finding("a", "x"), Finding("long", "y", "do it")]) == "  a     x\n! long  y"


def test_cells_at_a_time_are_as_many_as_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "free_memory", lambda: 5_000_000_000)
    assert "about 3 cells at a time, so give Snakemake `--cores 3`" in found(hardware.findings(), "memory").advice
    monkeypatch.setattr(machine, "free_memory", lambda: 50_000_000_000)
    assert not found(hardware.findings(), "memory").advice


def test_slurm_is_asked_for_its_partitions(folder: Path) -> None:
    command(folder, "sbatch", "echo slurm 22.05.8")
    command(folder, "sinfo", "echo 'gpu* (4 nodes, gpu:a100:8)'")
    assert found(hardware.findings(), "SLURM").text == "slurm 22.05.8; gpu* (4 nodes, gpu:a100:8)"
    command(folder, "sinfo", "exit 1")
    assert "`sinfo` must list its partitions" in found(hardware.findings(), "SLURM").advice


def test_a_command_that_never_answers_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(folder, "sinfo", "exec sleep 60")
    monkeypatch.setattr(hardware, "SECONDS", 0.2)
    assert hardware.answer(["sinfo"]) is None


def test_data_sets_are_found_where_studies_look(folder: Path) -> None:
    assert found(data.findings(), "digits8").text == "bundled with scikit-learn"
    assert found(data.findings(), "synthetic").text == "made by its recipe"
    assert found(data.findings(), "cifar10").text == "not here: a study that uses it downloads 170 MB"
    (folder / "results/mine/data/cifar10").mkdir(parents=True)
    (folder / "results/mine/data/cifar10/card.json").write_text("{}")
    (folder / "downloads/cifar10").mkdir(parents=True)
    (folder / "downloads/cifar10/cifar-10-binary.tar.gz").write_text("")
    expected = "prepared in results/mine/data/cifar10; downloaded to downloads/cifar10"
    assert found(data.findings(), "cifar10").text == expected


def test_versions_stand_beside_those_that_were_tested(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("# a remark\ntorch==1.0.0\ntypes-pyyaml==6.0.12.20261113\n")
    assert software.pins(tmp_path / "requirements.txt") == {"torch": "1.0.0", "types-pyyaml": "6.0.12.20261113"}
    assert software.pins(tmp_path / "absent.txt") == {}
    own = found(software.findings(), "torch")
    assert own.text == software.pins(ROOT / "requirements.txt")["torch"] or "; tested with" in own.text


def test_times_are_measured(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "flexifed", "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "make quick   about " in done.stdout and "h for the steps of one of its 120 cells" in done.stdout
