"""Progress in a log file."""

import pytest

from flexifed.bars import bar


def test_a_line_per_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("data", "B") as progress:
        for done in (1, 9, 10, 11, 55, 100):
            progress(done, 100)
    assert capsys.readouterr().err.splitlines() == ["data: 0 %", "data: 10 %", "data: 50 %", "data: 100 %"]


def test_unknown_total_and_starting_again(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("data", "B") as progress:
        progress(5, 0)
        progress(50, 100)
        progress(0, 100)
        progress(10, 100)
    assert capsys.readouterr().err.splitlines() == ["data: 50 %", "data: 10 %"]
