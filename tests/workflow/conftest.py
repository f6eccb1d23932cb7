"""A private checkout in which the smoke study has been run once, from archives served over HTTP to the report."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests import miniature

REPOSITORY = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements.lock", "requirements-cpu.lock")
PARTS = ("Snakefile", "workflow", "profiles", "config", "envs", "flexifed", "pyproject.toml", *LOCKS)


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository that a test may edit, and the configuration files of the study that runs in it."""

    folder: Path
    configfiles: tuple[Path, ...]

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run Snakemake in the checkout; returns what it printed."""
        command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2"]
        command += ["--configfile", *map(str, self.configfiles)] if self.configfiles else []
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        output = done.stdout + done.stderr
        assert done.returncode == 0 or not check, output[-6000:]
        return output

    def planned(self, *arguments: str) -> dict[str, list[str]]:
        """What a dry run would do: the outputs of every job, by rule."""
        output = self.snakemake("-n", *arguments)
        jobs: dict[str, list[str]] = {}
        for rule, body in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", output, re.M):
            outputs = re.search(r"^    output: (.*)$", body, re.M)
            jobs.setdefault(rule, []).append(outputs.group(1) if outputs else "")
        assert jobs or "Nothing to be done" in output, output[-3000:]
        return jobs

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file of the checkout."""
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} does not hold {old!r}"
        file.write_text(text.replace(old, new, 1))


def copy(folder: Path) -> Path:
    """Copy the parts of the repository that a run needs into a new folder; returns it."""
    folder.mkdir()
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / part)
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """The smoke study after its first run. Tests must not change it; see `checkout`."""
    root = tmp_path_factory.mktemp("smoke")
    archives = miniature.make_archives(root / "archives")
    with miniature.serve(root / "archives") as address:
        overlay = root / "miniature.yaml"
        overlay.write_text(yaml.safe_dump(miniature.overlay(archives, address)))
        folder = copy(root / "checkout")
        finished = Checkout(folder, (folder / "config/smoke.yaml", overlay))
        finished.snakemake()
        yield finished


@pytest.fixture
def checkout(finished: Checkout) -> Iterator[Checkout]:
    """The finished study, put back as it was after a test that edits its code or configuration (times included)."""
    saved = finished.folder.parent / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    shutil.copytree(finished.folder, saved)
    yield finished
    shutil.rmtree(finished.folder)
    saved.rename(finished.folder)
