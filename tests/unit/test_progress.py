"""Progress where there is no terminal."""

import logging

import pytest

from flexifed.system.progress import bar


def test_a_line_per_tenth(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flexifed")
    with bar("data", "B") as progress:
        for done in (1, 9, 10, 11, 55, 100):
            progress(done, 100)
    assert caplog.messages == ["data: 0 %", "data: 10 %", "data: 50 %", "data: 100 %"]


def test_unknown_total_and_starting_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flexifed")
    with bar("data", "B") as progress:
        progress(5, 0)
        progress(50, 100)
        progress(0, 100)
        progress(10, 100)
    assert caplog.messages == ["data: 50 %", "data: 10 %"]
