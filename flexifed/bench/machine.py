"""The machine that was measured: what a reader needs to know to place the numbers."""

from datetime import UTC, datetime
from typing import Any

from flexifed.system import machine, provenance

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16", "asimd", "bf16", "sve")
"""Processor features that decide which kernels run, on x86 and Arm."""


def describe(device_name: str) -> dict[str, Any]:
    """Names, numbers and versions; `device` is what the models ran on."""
    import torch

    device = torch.device(device_name)
    cpu = machine.processor()
    return {
        "device": cpu if device.type == "cpu" else provenance.device_name(device),
        "kind": device.type,
        "processor": cpu,
        "cores": machine.cores(),
        "cpu_flags": [flag for flag in FLAGS if flag in machine.processor_flags()],
        "memory_gb": round(machine.memory() / 1e9, 1),
        "device_memory_gb": round(torch.cuda.get_device_properties(device).total_memory / 1e9, 1)
        if device.type == "cuda"
        else None,
        "packages": provenance.packages(),
        "cuda": torch.version.cuda,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": provenance.commit(),
    }
