"""Options and fixtures that every test may use."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, one per core

import pytest

from tests.miniature import Request

LONGEST = (
    *(
        "slurm/test_slurm.py",
        "workflow/test_smoke.py",
        "workflow/test_before_jobs.py",
        "workflow/test_module.py",
        "unit/test_bench.py",
    ),
    *("unit/test_reference.py", "faults/test_studies.py", "workflow/test_adding.py", "unit/test_cli.py"),
    *("unit/test_checkpoint.py", "unit/test_processors.py", "faults/test_interruption.py", "slurm/test_profiles.py"),
    *("unit/test_keeping.py", "workflow/test_scale.py", "unit/test_engines.py"),
)
"""What takes longest, by file; the rest of the files takes seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that no worker has one left in the end while the others have nothing to do."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fix", action="store_true", help="rewrite golden files; review the diff before committing it")


@pytest.fixture
def log() -> list[Request]:
    """What a test's server was asked for."""
    return []


@pytest.fixture
def fix(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--fix"))
