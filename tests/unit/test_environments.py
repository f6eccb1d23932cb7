"""Locks, conda and pixi hold the versions of requirements.txt, and nothing of the machine that wrote them."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from flexifed import environments

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
WITHOUT_DIGESTS = {"torch", "torchvision", "torchaudio"}
"""From PyTorch's own index where there is to be no CUDA."""


def pins() -> dict[str, str]:
    return {name: version for section in environments.sections(REQUIREMENTS) for name, version in section}


def locked(name: str) -> dict[str, str]:
    """Package and version; each has the digest of a file."""
    found = re.findall(
        r"^([a-z0-9-]+)==([^ ;]+)[^\\]*\\\n +--hash=sha256:[0-9a-f]{64}", (ROOT / name).read_text(), re.M
    )
    assert len(found) == len(re.findall(r"^[a-z]", (ROOT / name).read_text(), re.M)), "something has no digest"
    return dict(found)


def test_the_lock_holds_every_version_that_is_pinned() -> None:
    assert pins().items() <= locked("requirements.lock").items(), "run `make lock`"


def test_without_cuda_nothing_else_is_missing() -> None:
    whole, without = locked("requirements.lock"), locked("requirements-cpu.lock")
    assert without.items() <= whole.items()
    missing = whole.keys() - without.keys()
    assert missing >= WITHOUT_DIGESTS and len(missing) > 10
    assert {name for name in missing if not re.match(r"nvidia-|cuda-|triton$", name)} == WITHOUT_DIGESTS


@pytest.mark.parametrize("name", ["requirements.txt", "requirements.lock", "requirements-cpu.lock", "pixi.toml"])
def test_no_address_and_no_folder_stands_in_it(name: str) -> None:
    assert not re.search(r"://|^-|--(index|find)|[= ]/\w", (ROOT / name).read_text(), re.M)


def test_conda_has_what_the_rules_run_with_and_pixi_everything() -> None:
    conda = yaml.safe_load((ROOT / "envs/flexifed.yaml").read_text())["dependencies"][-1]["pip"]
    assert "torch==" + pins()["torch"] in conda and not [
        pin for pin in conda if pin.startswith(("snakemake", "pytest"))
    ]
    pixi = tomllib.loads((ROOT / "pixi.toml").read_text())["pypi-dependencies"]
    assert pixi.pop("flexifed") == {"path": ".", "editable": True}
    assert pixi == {name: f"=={version}" for name, version in pins().items()}


@pytest.mark.parametrize(("variables", "lock", "from_pytorch"), [((), "", 0), (("CPU=1",), "-cpu", 1)])
def test_make_setup_takes_the_lock_and_without_cuda_pytorch_from_its_own_index(
    tmp_path: Path, variables: tuple[str, ...], lock: str, from_pytorch: int
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "CPU"}
    command = ["make", "-n", "setup", f"VENV={tmp_path / 'new'}", *variables]
    commands = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert f"--no-deps --require-hashes -r requirements{lock}.lock" in commands
    trio = " ".join(f"{name}=={pins()[name]}" for name in ("torch", "torchvision", "torchaudio"))
    assert commands.count(f"--no-deps --torch-backend cpu {trio}") == from_pytorch
