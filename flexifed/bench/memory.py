"""Peak memory of a process: of torch's allocations on a GPU, resident memory on Linux, not a number elsewhere."""

import math

import torch

from flexifed.system import machine


class Peak:
    """Bytes that are taken at most between `Peak(device)` and `bytes()`, beyond what was held before."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.init()  # without which there is nothing to reset
            torch.cuda.reset_peak_memory_stats(device)
            self.before = float(torch.cuda.memory_allocated(device))
        else:
            self.before = machine.resident() if machine.forget_peak() else math.nan

    def bytes(self) -> float:
        """Not a number where the machine does not tell."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.before
        return math.nan if math.isnan(self.before) else machine.peak_resident() - self.before


def available(device: torch.device) -> float:
    """Bytes that new processes can take."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(machine.free_memory())
