"""The cluster profiles on a real cluster of one node: to the end, and through what happens to jobs on clusters."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from flexifed.study import config
from tests.slurm.cluster import GPU_MODEL, GPUS, Cluster, Job, until
from tests.slurm.conftest import RESULTS, STUDY, TABLES, Checkout, Start

STANDALONE = "cifar10/resnet/standalone/smoke/seed0"
MAX_COMMON = "cifar10/resnet/max_common/smoke/seed0"


@dataclass(frozen=True)
class Trainer:
    """The process that trains a cell, stopped in the middle of it, and the SLURM job that it belongs to."""

    pid: int
    job: str

    def go_on(self) -> None:
        """Let it train, unless it has been killed meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)


def job_of(process: Path) -> str:
    """The SLURM job of a process, a folder of /proc. (The plain number of a task may stand for its whole array.)"""
    pairs = (process / "environ").read_text().split("\0")
    names = dict(pair.split("=", 1) for pair in pairs if pair)
    if "SLURM_ARRAY_JOB_ID" in names:
        return f"{names['SLURM_ARRAY_JOB_ID']}_{names['SLURM_ARRAY_TASK_ID']}"
    return names["SLURM_JOB_ID"]


def find_trainer(checkout: Checkout, cell: str) -> Trainer | None:
    """The process that trains the cell in this checkout, once it has opened its log."""
    log = checkout.folder / RESULTS / f"logs/cells/{cell}.log"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if log in [file.readlink() for file in (process / "fd").iterdir()]:
                return Trainer(int(process.name), job_of(process))
        except OSError:  # it has ended meanwhile
            continue
    return None


def catch(checkout: Checkout, *cells: str) -> list[Trainer]:
    """Stop the trainers of cells in the middle of their work, so that what a test does next is sure to strike there."""
    caught: dict[str, Trainer] = {}

    def all_caught() -> bool:
        for cell in cells:
            if cell not in caught and (trainer := find_trainer(checkout, cell)):
                os.kill(trainer.pid, signal.SIGSTOP)
                caught[cell] = trainer
        return len(caught) == len(cells)

    until(all_caught, f"{' and '.join(cells)} are being trained", 120)
    return [caught[cell] for cell in cells]


def job(cluster: Cluster, job_id: str) -> Job:
    return next(job for job in cluster.jobs() if job.id == job_id)


def together(jobs: list[Job]) -> int:
    """The largest number of finished jobs that ran at the same time."""
    return max(sum(other.start <= job.start < other.end for other in jobs) for job in jobs)


@pytest.fixture
def one_cell_left(local: Checkout, tmp_path: Path) -> Checkout:
    """The study with one cell still to be trained."""
    return local.without_cells([MAX_COMMON], tmp_path / "checkout")


def test_the_study_runs_to_its_report_with_two_cells_at_a_time(
    cluster: Cluster, fresh: Callable[[str], Checkout], local: Checkout, start: Start
) -> None:
    checkout = fresh("whole")
    table = checkout.folder / "workflow/resources.yaml"
    table.write_text(table.read_text().replace("minutes_per_100_rounds:\n", "minutes_per_100_rounds:\n  resnet: 1\n"))
    start(checkout).finish()

    assert checkout.tables() == local.tables()
    assert (checkout.folder / RESULTS / "report.html").exists()
    jobs, expected = cluster.jobs(), config.read(checkout.folder / STUDY).cells()
    cells = [job for job in jobs if job.gpus == "gres:gpu:1"]
    assert len(cells) == len(expected)
    prepared = {cell.dataset for cell in expected}
    assert len(jobs) - len(cells) == len(prepared)  # all else runs on the login node
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert together(cells) == GPUS
    assert {job.time_limit for job in cells} == {"17:00"}  # what the slowest family of the array needs


def test_a_cancelled_cell_and_one_that_meets_its_time_limit_are_trained_again(
    cluster: Cluster, local: Checkout, start: Start, tmp_path: Path
) -> None:
    checkout = local.without_cells([STANDALONE, MAX_COMMON], tmp_path / "checkout")
    driver = start(checkout, *TABLES)
    cancelled, late = catch(checkout, STANDALONE, MAX_COMMON)
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 1))
    cluster.run("scontrol", "update", f"JobId={late.job}", f"EndTime={now}")
    cluster.run("scancel", cancelled.job)
    cancelled.go_on()

    assert driver.finish().count("Trying to restart job") >= 2  # where the machine is busy, the driver may miss files
    assert job(cluster, cancelled.job).state == "CANCELLED"
    assert job(cluster, late.job).state == "TIMEOUT"
    again = cluster.jobs("COMPLETED")[-2:]
    assert {job.time_limit for job in again} <= {"34:00", "51:00"}  # twice as long, or three times
    assert checkout.tables() == local.tables()


def test_a_cell_on_a_node_that_crashes_is_started_again_by_slurm(
    cluster: Cluster, local: Checkout, one_cell_left: Checkout, start: Start
) -> None:
    driver = start(one_cell_left, *TABLES)
    [trainer] = catch(one_cell_left, MAX_COMMON)
    cluster.crash_node()
    until(lambda: cluster.node_state().startswith("down"), "the controller misses the node")
    cluster.start_slurmd()

    assert "Trying to restart job" not in driver.finish()
    after = job(cluster, trainer.job)
    assert (after.state, after.restarts) == ("COMPLETED", 1)
    assert one_cell_left.tables() == local.tables()


@pytest.mark.parametrize("away", ["for a moment", "for long"])
def test_a_killed_slurmd(cluster: Cluster, local: Checkout, one_cell_left: Checkout, start: Start, away: str) -> None:
    """What runs on the node outlives its daemon. SLURM lets it go on, unless it gave the node up meanwhile."""
    driver = start(one_cell_left, *TABLES)
    [trainer] = catch(one_cell_left, MAX_COMMON)
    cluster.kill_slurmd()
    if away == "for long":
        until(lambda: cluster.node_state().startswith("down"), "the controller misses the node")
    cluster.start_slurmd()
    trainer.go_on()

    assert "Trying to restart job" not in driver.finish()
    after = job(cluster, trainer.job)
    assert (after.state, after.restarts) == ("COMPLETED", 1 if away == "for long" else 0)
    assert one_cell_left.tables() == local.tables()


def test_a_site_asks_for_a_type_of_gpu_and_prepares_the_shell_of_its_jobs(
    cluster: Cluster, one_cell_left: Checkout, start: Start
) -> None:
    """The profile is made from the example, as a user makes it."""
    site, environment = one_cell_left.folder / "profiles/site", one_cell_left.folder / "job.env"
    shutil.copytree(one_cell_left.folder / "profiles/site.example", site)
    profile = (site / "config.yaml").read_text()
    assert '  # slurm_extra: "--exclude=node17"' in profile
    profile = profile.replace('  # slurm_extra: "--exclude=node17"', '  slurm_extra: "--nice=7"')
    profile += f"\nset-resources: [train:gpu_model={GPU_MODEL}]\nprecommand: env > {environment}\n"
    (site / "config.yaml").write_text(profile)
    start(one_cell_left, f"{RESULTS}/cells/{MAX_COMMON}/run.json").finish()
    last = cluster.jobs()[-1]
    assert last.gpus == f"gres:gpu:{GPU_MODEL}:1"
    assert f"SLURM_JOB_ID={last.id}\n" in environment.read_text()
    assert " Nice=7 " in cluster.run("scontrol", "show", "job", last.id)


def test_any_scheduler_with_a_submit_command(
    cluster: Cluster, local: Checkout, one_cell_left: Checkout, start: Start
) -> None:
    """With sbatch as such a command. That a job was cancelled is noticed, and the cell is trained again."""
    driver = start(one_cell_left, *TABLES, profile="cluster-generic")
    [trainer] = catch(one_cell_left, MAX_COMMON)
    cluster.run("scancel", trainer.job)
    trainer.go_on()

    assert "Trying to restart job" in driver.finish()
    assert one_cell_left.tables() == local.tables()
