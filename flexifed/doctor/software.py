"""Versions: those that are installed beside those that this repository is tested with."""

import importlib.metadata
import platform
import re
from pathlib import Path

from flexifed.doctor.finding import Finding
from flexifed.system import provenance

REQUIREMENTS = provenance.ROOT / "requirements.txt"
SHOWN = ("torch", "torchvision", "torchaudio", "numpy", "pandas", "snakemake")


def findings() -> list[Finding]:
    """Python, this package, and the packages that numbers and runs depend on."""
    pinned = pins(REQUIREMENTS)
    return [Finding("Python", platform.python_version()), _own(), *(_package(name, pinned.get(name)) for name in SHOWN)]


def pins(path: Path) -> dict[str, str]:
    """Packages with their pinned versions; none outside a checkout."""
    text = path.read_text() if path.exists() else ""
    return dict(re.findall(r"^([\w-]+)==(\S+)", text, re.M))


def _own() -> Finding:
    commit = provenance.commit()
    where = f"commit {commit['id'][:12]}{', with changes' if commit['dirty'] else ''}" if commit else "no git checkout"
    return Finding("flexifed", f"{provenance.own_version()}, {where}")


def _package(name: str, pinned: str | None) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "not installed", f"{name} is not installed: run `make setup`.")
    if pinned in (None, version.partition("+")[0]):
        return Finding(name, version)
    return Finding(name, f"{version}; tested with {pinned}")
