"""What the machine is and has: processor, cores, memory. What it does not tell is None, not a number, or empty."""

import math
import os
import platform
import re
from pathlib import Path

CPUINFO, MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
STATUS, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, or its kind where it has none."""
    return _field(CPUINFO, "model name") or platform.processor() or platform.machine()


def processor_flags() -> frozenset[str]:
    """What the processor's instructions include, as Linux calls it on x86 and Arm; empty elsewhere."""
    return frozenset((_field(CPUINFO, "flags") or _field(CPUINFO, "Features") or "").split())


def memory() -> int:
    """Bytes of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_memory() -> int:
    """Bytes of main memory that may be taken: what the machine has, or less where a control group leaves less."""
    free = memory() if math.isnan(available := _bytes(MEMINFO, "MemAvailable")) else int(available)
    limit, used = (_number(CONTROL_GROUP / name) for name in ("memory.max", "memory.current"))
    return free if limit is None else min(free, max(0, limit - (used or 0)))


def resident() -> float:
    """Bytes of main memory that this process holds."""
    return _bytes(STATUS, "VmRSS")


def peak_resident() -> float:
    """Bytes of main memory that this process has held at most since `forget_peak`."""
    return _bytes(STATUS, "VmHWM")


def forget_peak() -> bool:
    """Set the peak back to what is resident now; returns whether that could be done."""
    try:
        RESET_PEAK.write_text("5")
    except OSError:
        return False
    return True


def _field(path: Path, name: str) -> str | None:
    """The value of the first line `name: value`."""
    if not path.exists():
        return None
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", path.read_text(), re.M)
    return found[1].strip() if found else None


def _bytes(path: Path, name: str) -> float:
    """A line such as `VmRSS:   1234 kB`, in bytes."""
    value = _field(path, name)
    return math.nan if value is None else 1024.0 * int(value.split()[0])


def _number(path: Path) -> int | None:
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text.isdecimal() else None
