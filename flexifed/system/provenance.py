"""Where a result comes from: code, packages, machine."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from flexifed.system import machine

PACKAGES = ("flexifed", "torch", "torchvision", "torchaudio", "numpy", "pandas", "pyarrow")
ROOT = Path(__file__).parent.parent.parent


def commit() -> dict[str, Any] | None:
    """The commit of this checkout and whether tracked files differ from it; None outside a git checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True, timeout=30
        ).stdout.strip()

    try:
        return {"id": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def packages() -> dict[str, str]:
    """Versions of Python, of this package, and of those that numbers depend on, as far as they are installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def own_version() -> str:
    """The version of this package; a checkout that is not installed says so."""
    return packages().get("flexifed", "not installed, from a checkout")


def device_name(device: Any) -> str:
    """What a torch device is, in words."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{machine.processor()}, {torch.get_num_threads()} thread(s)"
