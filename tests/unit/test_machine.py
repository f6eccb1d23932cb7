"""What the machine tells, and what is made of what a control group allows."""

import math
from pathlib import Path

import psutil
import pytest

from flexifed.system import machine


def test_it_says_what_psutil_says() -> None:
    assert machine.memory() == pytest.approx(psutil.virtual_memory().total, rel=0.01)
    assert machine.cores() == len(psutil.Process().cpu_affinity())
    assert machine.resident() == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert machine.processor()


@pytest.mark.parametrize(("limit", "used", "expected"), [("max", "5", 100), ("80", "30", 50), ("80", "90", 0)])
def test_a_control_group_leaves_its_limit_less_what_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: str, expected: int
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  100 kB\n")
    for name, value in (("memory.max", limit), ("memory.current", used)):
        (tmp_path / name).write_text(value if value == "max" else str(1024 * int(value)))
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "CONTROL_GROUP", tmp_path)
    assert machine.free_memory() == 1024 * expected


def test_where_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CPUINFO", "MEMINFO", "STATUS", "RESET_PEAK", "CONTROL_GROUP"):
        monkeypatch.setattr(machine, name, tmp_path / "missing" / name)
    assert machine.processor()
    assert machine.processor_flags() == frozenset()
    assert machine.free_memory() == machine.memory()
    assert math.isnan(machine.resident())
    assert not machine.forget_peak()
