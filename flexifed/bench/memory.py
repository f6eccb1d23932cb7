"""Peak memory of a process: of torch's allocations on a GPU, resident memory on Linux, not a number elsewhere."""

import math
from pathlib import Path

import torch

STATUS, RESET, TOTALS = Path("/proc/self/status"), Path("/proc/self/clear_refs"), Path("/proc/meminfo")


class Peak:
    """Bytes that are taken at most between `Peak(device)` and `bytes()`, beyond what was held before."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.init()  # without which there is nothing to reset
            torch.cuda.reset_peak_memory_stats(device)
            self.before = float(torch.cuda.memory_allocated(device))
        else:
            self.before = _resident() if _forget_peak() else math.nan

    def bytes(self) -> float:
        """Not a number where the machine does not tell."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.before
        return math.nan if math.isnan(self.before) else _field(STATUS, "VmHWM") - self.before


def available(device: torch.device) -> float:
    """Bytes that new processes can take; not a number where the machine does not tell."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return _field(TOTALS, "MemAvailable") if TOTALS.exists() else math.nan


def _resident() -> float:
    return _field(STATUS, "VmRSS")


def _forget_peak() -> bool:
    """Set the peak back to what is resident now (Linux); returns whether that could be done."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return True


def _field(path: Path, name: str) -> float:
    """A line such as `VmRSS:   1234 kB`, in bytes."""
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024.0 * int(line.split()[1])
    return math.nan
