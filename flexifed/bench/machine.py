"""The machine that was measured: what a reader needs to know to place the numbers."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flexifed.system import provenance

CPUINFO = Path("/proc/cpuinfo")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")
"""Processor features that decide which kernels run, on x86 and Arm."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(device_name: str) -> dict[str, Any]:
    """Names, numbers and versions; `device` is what the models ran on."""
    import torch

    device = torch.device(device_name)
    cpu = provenance.device_name(torch.device("cpu")).rsplit(",", 1)[0]
    return {
        "device": cpu if device.type == "cpu" else provenance.device_name(device),
        "kind": device.type,
        "processor": cpu,
        "cores": cores(),
        "cpu_flags": _flags(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "device_memory_gb": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1)
        if device.type == "cuda"
        else None,
        "packages": provenance.packages(),
        "cuda": torch.version.cuda,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": provenance.commit(),
    }


def _flags() -> list[str]:
    if not CPUINFO.exists():
        return []
    lines = [line for line in CPUINFO.read_text().splitlines() if line.startswith(("flags", "Features"))]
    there = set(lines[0].split(":", 1)[1].split()) if lines else set()
    return [flag for flag in FLAGS if flag in there]
