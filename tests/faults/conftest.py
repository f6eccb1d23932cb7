"""The fault tests' table: what was done, how often, what was lost.

`make faults` makes many faults and prints the table, `make test` makes a few. FAULTS_COUNT sets how many.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest

TIMES = int(os.environ.get("FAULTS_COUNT", "3"))
FEW = TIMES < 10
"""Whether this is the short run of `make test`."""
KEY = "fault"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/faults/" in item.path.as_posix():
            item.add_marker("faults")


@pytest.fixture
def count() -> int:
    """How often a fault is to be made."""
    return TIMES


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Count a fault that was made and survived: `tally("connection reset", lost=4096, unit="bytes received twice")`.

    Call it after the assertions, so that what stands in the table was shown. `times` is how often it was made.
    """

    def add(what: str, *, times: int = 1, lost: int = 0, unit: str = "") -> None:
        request.node.user_properties.append((KEY, (what, times, lost, unit)))

    return add


_table: dict[str, list[tuple[int, int, str]]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Reports carry the counts here, from the workers of pytest-xdist too."""
    if report.when == "call":
        for key, value in report.user_properties:
            if key == KEY:
                what, times, lost, unit = value
                _table.setdefault(what, []).append((times, lost, unit))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _table:
        return
    rows = [("what was done", "times", "what was lost")]
    for what, entries in sorted(_table.items()):
        lost: Counter[str] = Counter()
        for _, number, unit in entries:
            lost[unit] += number
        told = "; ".join(f"{number:,} {unit}" for unit, number in lost.items() if number)
        rows.append((what, f"{sum(times for times, *_ in entries):,}", told or "nothing"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    terminalreporter.section("faults")
    for what, times, told in rows:
        terminalreporter.write_line(f"{what:<{widths[0]}}  {times:>{widths[1]}}  {told}")
