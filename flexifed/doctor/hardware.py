"""Cores, memory, disk, GPUs and SLURM."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from flexifed.doctor.finding import Finding, size
from flexifed.system import files, machine

CELL_MEMORY = 1.5e9
"""Bytes that a cell of `make quick` or `make local-cpu` takes at most, PyTorch included, generously."""
DISK = 6e9
"""Bytes: the archives and prepared arrays of the paper's four data sets (2.4 GB to download)."""
SECONDS = 10
"""After which a command that does not answer is given up."""


def findings() -> list[Finding]:
    """A finding for each of them."""
    return [_cores(), _memory(), _disk(), *_gpus(), _slurm()]


def _cores() -> Finding:
    return Finding("cores", f"{machine.cores()} for this process, {machine.processor()}")


def _memory() -> Finding:
    free = machine.free_memory()
    fits = max(1, int(free / CELL_MEMORY))
    text = f"{size(machine.memory())}, of which {size(free)} free"
    if fits >= machine.cores():
        return Finding("memory", text)
    advice = f"memory: there is room for about {fits} cells at a time, so give Snakemake `--cores {fits}`."
    return Finding("memory", text, advice)


def _disk() -> Finding:
    folder = files.existing(Path("results").absolute())
    free = shutil.disk_usage(folder).free
    advice = "" if free >= DISK else f"disk: the paper's data sets take {size(DISK)}; `downloads` names another folder."
    return Finding("disk", f"{size(free)} free in {folder}", advice)


def _gpus() -> list[Finding]:
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    if torch.cuda.is_available():
        found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        return [Finding("GPU", f"{p.name}, {size(p.total_memory)}, PyTorch with {build}") for p in found]
    if not shutil.which("nvidia-smi"):
        return [Finding("GPU", f"none; PyTorch with {build}")]
    why = "see `nvidia-smi`" if torch.version.cuda else "its build has no CUDA: run `make clean setup` without CPU=1"
    return [Finding("GPU", f"a driver is here, but PyTorch ({build}) finds no GPU", f"GPU: PyTorch finds none; {why}.")]


def _slurm() -> Finding:
    if not shutil.which("sbatch"):
        return Finding("SLURM", "none")
    partitions = answer(["sinfo", "--noheader", "--format=%P (%D nodes, %G)"])
    if partitions is None:
        advice = "SLURM: to use it, `sinfo` must list its partitions here; see docs/slurm.md."
        return Finding("SLURM", "sbatch is here, but sinfo gives no answer", advice)
    return Finding("SLURM", f"{answer(['sbatch', '--version']) or ''}; {'; '.join(partitions.splitlines())}")


def answer(command: Sequence[str]) -> str | None:
    """What a command prints; None where it fails or does not answer in time."""
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
