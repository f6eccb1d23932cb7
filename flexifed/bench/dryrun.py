"""How long Snakemake takes to plan a study of which nothing has been run: `snakemake -n`."""

import importlib.util
import re
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from flexifed.bench.sizes import Limit
from flexifed.bench.turns import in_turn, spread
from flexifed.system.ended import how_it_ended
from flexifed.system.errors import UserError

ROOT = Path(__file__).parents[2]
SNAKEFILE, STUDY = ROOT / "Snakefile", ROOT / "config/config.yaml"

COLUMNS = ("cells", "jobs", "repetitions", "seconds", "seconds_low", "seconds_high", "cpu_seconds")
"""Of dryrun.csv. `seconds`: wall time; `cpu_seconds`: user and system time of Snakemake and its children, median."""


def missing() -> str | None:
    """Why nothing can be measured here; None if it can."""
    for package in ("snakemake", "pydantic"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    return None if SNAKEFILE.exists() and STUDY.exists() else f"{ROOT} is no checkout with a Snakefile"


def measure(seeds: int, limit: Limit) -> list[dict[str, Any]]:
    """One row: the paper's study with this many seeds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = yaml.safe_load(STUDY.read_text()) | {"seeds": list(range(seeds))}
        (folder / "study.yaml").write_text(yaml.safe_dump(config))
        (measured,) = in_turn({seeds: partial(_dry_run, folder)}, limit).values()
    wall, cpu, planned = zip(*measured, strict=True)
    counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", planned[0], re.M)}
    return [
        {
            "cells": counts["train"],
            "jobs": counts["total"],
            "repetitions": len(wall),
            **spread(list(wall)).columns("seconds"),
            "cpu_seconds": spread(list(cpu)).median,
        }
    ]


def _dry_run(folder: Path) -> tuple[float, float, str]:
    """Wall seconds, processor seconds and output of a dry run; no other child process may end meanwhile.

    Raises:
        UserError: it failed or was killed.
    """
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--snakefile", str(SNAKEFILE)]
    command += ["--directory", str(folder), "--configfile", str(folder / "study.yaml")]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise UserError(f"bench: Snakemake's dry run was lost: {how_it_ended(done.returncode)}. It said:\n{said}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout
