"""Environments for conda and pixi, written from `requirements.txt`, so that versions stand in one place."""

import json
import re
from pathlib import Path

PYTHON = "3.12"
PLATFORMS = ("linux-64", "linux-aarch64", "osx-arm64")


def sections(requirements: Path) -> list[list[tuple[str, str]]]:
    """Package and version of every pin, by the file's paragraphs; the first one is what the rules run with."""
    paragraphs = requirements.read_text().split("\n\n")
    return [re.findall(r"^([\w-]+)==(\S+)", paragraph, re.M) for paragraph in paragraphs]


def conda(requirements: Path) -> str:
    """The environment of the rules, for `snakemake --sdm conda`."""
    pins = [f"      - {name}=={version}" for name, version in sections(requirements)[0]]
    lines = [
        "# For `snakemake --sdm conda`; the same versions as requirements.txt, from which `make generate` writes this.",
        "# Untried. PyPI's torch brings its CUDA libraries along.",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
    ]
    return "\n".join([*lines, *pins, ""])


def pixi(requirements: Path) -> str:
    """A workspace with everything that runs, checks and tests the pipeline, for `pixi run quick`."""
    pins = [f'{name} = "=={version}"' for paragraph in sections(requirements) for name, version in paragraph]
    lines = [
        "# For `pixi run quick`; the same versions as requirements.txt, from which `make generate` writes this.",
        "# Untried.",
        "[workspace]",
        'name = "flexifed"',
        'channels = ["conda-forge"]',
        f"platforms = {json.dumps(PLATFORMS)}",
        "",
        "[tasks]",
        'quick = "snakemake --cores all --configfile config/quick.yaml"',
        'doctor = "flexifed doctor"',
        "",
        "[dependencies]",
        f'python = "{PYTHON}.*"',
        "",
        "[pypi-dependencies]",
        'flexifed = { path = ".", editable = true }',
    ]
    return "\n".join([*lines, *pins, ""])
