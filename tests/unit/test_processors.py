"""No kernel writes beyond its memory, whatever instructions the processor has, and every gradient is right.

oneDNN chooses its kernels by the processor, and can be told to take those of an older one. On Linux, the C library's
checking allocator turns silent damage to the heap into an abort.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flexifed.settings import registry
from flexifed.system.ended import how_it_ended
from tests.unit.one_step import ENGINES, WIDTHS

TOLERANCES = {"float32": 0.03, "bfloat16": 0.7}
"""Of the step's norm. Rounding alone is about 1e-6 in float32; but where a value falls to the other side of a ReLU, or
another one is the largest of a pool, the gradient of so few samples changes by up to 1e-2, in the plain layout too. In
bfloat16 that happens throughout, and deep models are off by up to 0.5. No gradient at all would be off by 1."""
CHECKED = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3"} if sys.platform == "linux" else {}
SECONDS = 600
"""Until a process that damage has sent round in circles is given up."""


def one_step(folder: Path, isa: str | None) -> list[str]:
    """The lines of a process that takes every step with a processor's kernels (None: with this one's)."""
    environment = {k: v for k, v in os.environ.items() if k != "ONEDNN_MAX_CPU_ISA"} | CHECKED
    if isa:
        environment["ONEDNN_MAX_CPU_ISA"] = isa
    command = [sys.executable, "-m", "tests.unit.one_step", str(folder)]
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        given = {"cwd": registry.PACKAGE.parent, "env": environment, "stdout": out, "stderr": err, "timeout": SECONDS}
        try:
            end = how_it_ended(subprocess.run(command, **given).returncode)
        except subprocess.TimeoutExpired as expired:
            end = str(expired)
    lines = (folder / "out").read_text().splitlines()
    under_way = lines[-1] if lines else "start"
    assert end == how_it_ended(0), f"{end} during: {under_way}\n{(folder / 'err').read_text()[-3000:]}"
    return lines


@pytest.mark.parametrize("isa", ["AVX2", "SSE41", None])
def test_a_step_of_every_engine_family_and_width_is_right_on_every_processor(tmp_path: Path, isa: str | None) -> None:
    errors = {}
    for line in one_step(tmp_path, isa):
        combination, _, error = line.rpartition(" ")
        errors[combination] = float(error)
    assert len(errors) == len(ENGINES) * len(registry.names("family")) * len(WIDTHS)
    wrong = {what: e for what, e in errors.items() if not e < TOLERANCES[what.split()[1]]}
    assert not wrong, f"off from float64 by, relative to the step: {wrong}"
