"""The measurement behind docs/scale.md works on the workflow as it is."""

from pathlib import Path

from tests.scale.__main__ import PER_SEED, measure


def test_all_jobs_of_a_study_go_to_the_stand_in(tmp_path: Path) -> None:
    measured = {row.what: row for row in measure(PER_SEED, tmp_path)}
    assert measured["run everything"].jobs > PER_SEED, "every cell trained, and what comes before and after it"
    assert "Nothing to be done" in (tmp_path / "dry_run_when_all_is_done.log").read_text()
