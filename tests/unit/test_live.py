"""The live view of a running cell: the points that TensorBoard reads are those of the history."""

import importlib.util
import json
import logging
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from flexifed.settings.job import Job
from flexifed.settings.protocol import Devices
from flexifed.training import live
from flexifed.training.history import TOGETHER, History
from flexifed.training.run import Inputs, run_cell
from tests.miniature import small_file_system
from tests.unit import federations

needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="the package tensorboard is not installed"
)


def test_points_are_means_over_clients_and_what_is_of_all_as_it_is() -> None:
    rows = [
        (2, 0, "V1", "local", "accuracy", 0.5),
        (2, 3, "V2", "local", "accuracy", 1.0),
        (2, 0, "V1", "aggregated", "accuracy", 0.25),
        (2, TOGETHER, "V1", "aggregated", "auc", 0.75),
        (2, TOGETHER, "V2", "aggregated", "auc", 0.5),
        (2, TOGETHER, "", "clock", "seconds", 90.0),
        (3, 0, "V1", "local", "accuracy", 0.0),
    ]
    assert live.scalars(rows) == {
        (2, "local/accuracy"): 0.75,
        (2, "aggregated/accuracy"): 0.25,
        (2, "aggregated/auc/V1"): 0.75,
        (2, "aggregated/auc/V2"): 0.5,
        (2, "clock/seconds"): 90.0,
        (3, "local/accuracy"): 0.0,
    }


def points(folder: Path) -> dict[str, list[Any]]:
    """What TensorBoard reads, by tag: (wall_time, step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder)).Reload()
    return {tag: read.Scalars(tag) for tag in read.Tags()["scalars"]}


def expected(cell: Path) -> dict[str, dict[int, float]]:
    """The history, summed up with pandas: by tag and round."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for place, value in pd.read_parquet(cell / "history.parquet").groupby(["phase", "metric", "round"])["value"]:
        phase, metric, round_number = place
        found[f"{phase}/{metric}"][round_number] = value.mean()
    return found


def assert_shown(view: Path, cell: Path) -> dict[str, list[Any]]:
    """Every point of the history is there, once and in order."""
    shown, wanted = points(view), expected(cell)
    assert shown.keys() == wanted.keys()
    for tag, values in wanted.items():
        assert [point.step for point in shown[tag]] == list(values)
        assert [point.value for point in shown[tag]] == pytest.approx(list(values.values()), rel=1e-6)
    return shown


def killed(folder: Path, job: Job, after: int, view: Path | None) -> None:
    """Run the cell with a checkpoint of every round; it ends in a round before that has one."""

    def progress(round_number: int, *_: float | None) -> None:
        if round_number == after:
            raise ZeroDivisionError

    inputs = Inputs(**federations.files(folder, job))
    with pytest.raises(ZeroDivisionError):
        cpu = torch.device("cpu")
        run_cell(job, inputs, folder / "cell", progress, device=cpu, checkpoint_minutes=0, tensorboard=view)


@needs_tensorboard
def test_a_cell_is_shown_and_nothing_else_changes(tmp_path: Path) -> None:
    job = federations.job(rounds=4, evaluate_every=2, tests=("local", "aggregated", "train_mode"))
    blind = federations.run(tmp_path, job, "blind")
    shown = federations.run(tmp_path, job, "shown", tensorboard=tmp_path / "view")
    assert (shown / "history.parquet").read_bytes() == (blind / "history.parquet").read_bytes()
    records = [json.loads((cell / "run.json").read_text()) for cell in (shown, blind)]
    assert records[0]["settings"] == records[1]["settings"] and records[0]["digests"] == records[1]["digests"]
    assert sorted(path.name for path in shown.iterdir()) == sorted(path.name for path in blind.iterdir())
    tags = assert_shown(tmp_path / "view", shown)
    assert {"aggregated/accuracy", "local/train_loss", "aggregated/accuracy_train_mode"} < tags.keys()


@needs_tensorboard
def test_with_a_clock_the_time_of_a_point_is_simulated(tmp_path: Path) -> None:
    job = federations.job(rounds=3, devices=Devices(capacity="lognormal"))
    cell = federations.run(tmp_path, job, tensorboard=tmp_path / "view")
    shown = assert_shown(tmp_path / "view", cell)
    for tag in ("aggregated/accuracy", "clock/dropped"):
        times = [point.wall_time for point in shown[tag]]
        assert times == pytest.approx([point.value for point in shown["clock/seconds"]], rel=1e-6)


@needs_tensorboard
@pytest.mark.parametrize("before", ["shown", "blind"])
def test_a_run_that_goes_on_is_shown_whole_and_once(tmp_path: Path, before: str) -> None:
    """Round 3 was shown and lost with the process; or nothing was shown until the run went on."""
    job, view = federations.job(rounds=5), tmp_path / "view"
    killed(tmp_path, job, 3, view if before == "shown" else None)
    if before == "shown":
        assert [point.step for point in points(view)["local/train_loss"]] == [1, 2, 3]
    cell = federations.run(tmp_path, job, tensorboard=view)
    assert len(json.loads((cell / "run.json").read_text())["sessions"]) == 2
    assert_shown(view, cell)
    assert len(list(view.iterdir())) == (2 if before == "shown" else 1)


@needs_tensorboard
def test_a_run_from_the_start_removes_the_points_of_an_earlier_one(tmp_path: Path) -> None:
    view = tmp_path / "view"
    federations.run(tmp_path, federations.job(rounds=3), "long", tensorboard=view)
    assert_shown(view, federations.run(tmp_path, federations.job(rounds=2), "short", tensorboard=view))


@needs_tensorboard
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of the writer's thread
def test_where_the_disk_is_full_the_run_goes_on_without_a_view(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with small_file_system(tmp_path / "disk") as disk, caplog.at_level(logging.WARNING, "flexifed"):
        (disk / "ballast").write_bytes(b"x" * (112 << 10))
        history = History()
        with live.view(disk / "view", history, 0) as show:
            for round_number in range(1, 400):
                history.add(round_number, 0, "V1", "local", "train_loss", math.pi)
                show()
    assert caplog.text.count("no live view any more") == 1 and "No space left" in caplog.text
