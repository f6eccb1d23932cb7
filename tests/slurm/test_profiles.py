"""What the cluster profiles plan, as a driver on a login node sees it; needs no cluster."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import REPOSITORY

PROGRAM = """
import sys
from snakemake.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert "torch" not in sys.modules, "torch was imported"
    sys.exit(end.code)
"""


def planned(profile: str, *arguments: str) -> str:
    """What a dry run of the full study with a profile prints; torch must not be imported for it."""
    command = [sys.executable, "-c", PROGRAM, "-n", "--profile", f"profiles/{profile}", *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize("profile", ["slurm", "cluster-generic"])
def test_a_driver_plans_the_full_study_without_torch(profile: str) -> None:
    output = planned(profile)
    requests = re.findall(r"mem_mb=(\d+),.* gpu=1, runtime=(\d+)", output)
    assert len(requests) == 120
    assert set(requests) == {("8000", "568")}


def test_a_profile_may_set_its_own_run_time() -> None:
    output = planned("slurm", "--set-resources", "train:runtime=attempt*(60 if wildcards.family == 'vgg' else 90)")
    assert set(re.findall(r"gpu=1, runtime=(\d+)", output)) == {"60", "90"}


def test_a_site_has_its_own_partition(tmp_path: Path) -> None:
    """The example, as a user copies it, with another partition."""
    site = (
        (REPOSITORY / "profiles/site.example/config.yaml")
        .read_text()
        .replace("slurm_partition: gpu", "slurm_partition: mine")
    )
    (tmp_path / "config.yaml").write_text(site)
    output = planned("slurm", "--profile", str(tmp_path))
    assert set(re.findall(r"slurm_partition=(\w+)", output)) == {"mine"}
    assert len(re.findall(r"gpu=1, runtime=568", output)) == 120
