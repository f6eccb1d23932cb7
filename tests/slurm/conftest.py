"""A cluster for the whole session, and a study that has been run on this machine alone, to compare with.

`make slurm-test` takes the whole smoke study, `make test` three cells of it. SLURM_STUDY says which.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests import miniature
from tests.slurm import cluster as slurm
from tests.slurm.cluster import Cluster
from tests.workflow.conftest import copy

STUDY = "config/slurm.yaml"
WHOLE = os.environ.get("SLURM_STUDY") == "smoke"
"""Whether this is the long run of `make slurm-test`."""
RESULTS = "results/slurm"
TABLES = [f"{RESULTS}/tables/{name}.csv" for name in ("table1", "table3", "phases", "comparisons")]
ROUNDS = 6
"""Enough for a test to meet a cell in the middle."""
SECONDS = 1200
"""Longest run of one driver; a busy machine takes many times as long as an idle one."""
QUICK = {
    "slurm": ("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"),
    "cluster-generic": ("--seconds-between-status-checks", "1", "--latency-wait", "5"),
}
"""Shorter waits than on a cluster that others use."""
PROGRAM = """
from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor
Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)
main()
"""
"""Snakemake, but SLURM is asked every second. While no job ends, the plugin waits ten seconds longer each time."""


@dataclass
class Driver:
    """A running Snakemake and the file that it prints to."""

    process: subprocess.Popen[bytes]
    log: Path

    def finish(self) -> str:
        """Wait for it to end well; returns what it printed."""
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the driver still runs after {SECONDS} s:\n{self.log.read_text()[-6000:]}")
        output = self.log.read_text()
        assert code == 0, output[-6000:]
        return output

    def stop(self) -> None:
        """End it and its children."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass(frozen=True)
class Checkout:
    """A copy of the repository with the study, and the overlay that says where its archives are served."""

    folder: Path
    overlay: Path

    def snakemake(self, *arguments: str) -> Driver:
        """Start Snakemake in the checkout."""
        command = [sys.executable, "-c", PROGRAM, *arguments, "--configfile", STUDY, str(self.overlay)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        log = self.folder / "driver.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        return Driver(process, log)

    def tables(self) -> dict[str, str]:
        """The study's tables by path."""
        return {name: (self.folder / name).read_text() for name in TABLES}

    def without_cells(self, cells: Sequence[str], folder: Path) -> "Checkout":
        """A copy in which the given cells have not been trained, nor anything made of them."""
        shutil.copytree(self.folder, folder)
        for cell in cells:
            shutil.rmtree(folder / RESULTS / "cells" / cell)
        for path in (f"{RESULTS}/tables", f"{RESULTS}/logs/cells"):
            shutil.rmtree(folder / path)
        for name in ("cells", "runs"):
            (folder / RESULTS / f"{name}.parquet").unlink()
        return Checkout(folder, self.overlay)


def write_study(folder: Path) -> None:
    """The smoke study, or three cells of it, one more than there are GPUs; more rounds where it has two."""
    study = yaml.safe_load((folder / "config/smoke.yaml").read_text())
    study["study"] = "slurm"
    if not WHOLE:
        few = {"dataset": "cifar10", "protocols": ["smoke"], "seeds": [0]}
        study["blocks"] = [
            {**few, "families": ["resnet"], "strategies": ["standalone", "max_common"]},
            {**few, "families": ["vgg"], "strategies": ["max_common"]},
        ]
    study["protocols"]["smoke"]["rounds"] = ROUNDS
    (folder / STUDY).write_text(yaml.safe_dump(study))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster; tests that need it are skipped where none can be started."""
    if reason := slurm.obstacle():
        pytest.skip(reason)
    with slurm.running() as running:
        yield running


@pytest.fixture(scope="session")
def fresh(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Checkout]]:
    """Make checkouts, by name, in which nothing has been run; the archives are served over HTTP meanwhile."""
    root = tmp_path_factory.mktemp("slurm")
    archives = miniature.make_archives(root / "archives")
    overlay = root / "miniature.yaml"

    def make(name: str) -> Checkout:
        folder = copy(root / name)
        write_study(folder)
        return Checkout(folder, overlay)

    with miniature.serve(root / "archives") as address:
        overlay.write_text(yaml.safe_dump(miniature.overlay(archives, address)))
        yield make


@pytest.fixture(scope="session")
def local(fresh: Callable[[str], Checkout]) -> Checkout:
    """The study after a run without a cluster, to its tables."""
    checkout = fresh("local")
    checkout.snakemake(*TABLES, "--cores", "2").finish()
    return checkout


Start = Callable[..., Driver]


@pytest.fixture
def start(cluster: Cluster) -> Iterator[Start]:
    """Start Snakemake with a cluster's profile: start(checkout, *targets, profile="slurm"). Ended after the test."""
    drivers: list[Driver] = []

    def start(checkout: Checkout, *targets: str, profile: str = "slurm") -> Driver:
        profiles = ["--profile", f"profiles/{profile}"]
        if (checkout.folder / "profiles/site").exists():  # as `make` does
            profiles += ["--profile", "profiles/site"]
        drivers.append(checkout.snakemake(*targets, *profiles, *QUICK[profile]))
        return drivers[-1]

    try:
        yield start
    finally:
        for driver in drivers:
            driver.stop()
        cluster.reset()
