"""Progress where there is no terminal."""

import logging

import pytest

from flexifed.system.progress import bar, rounds


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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, ""), (59.0, "  59.0 s on devices"), (90.0, "  1.5 min on devices"), (12240.0, "  3.4 h on devices")],
)
def test_a_round_names_simulated_time(caplog: pytest.LogCaptureFixture, seconds: float | None, said: str) -> None:
    caplog.set_level(logging.INFO, "flexifed")
    with rounds("a cell", 40, title="accuracy", bar=False) as progress:
        progress(40, 0.612, seconds)
    assert caplog.messages == [f"a cell  round 40/40  accuracy 61.2 %{said}  done"]
