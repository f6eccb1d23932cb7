"""Options and fixtures that every test may use."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, one per core

import pytest

from tests.miniature import Request


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
