"""A queue of reference cells on the CPU, with narrow families: begun, killed, resumed, published, and no cell twice."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from flexifed.reference import queue, sidebyside
from flexifed.reference import report as referencereport
from flexifed.reference import text as referencetext
from flexifed.reference.queue import Queue
from flexifed.reference.sidebyside import Memory, Running, Unlimited, Work
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.study import config, single
from flexifed.system import files
from flexifed.system.ended import how_it_ended
from flexifed.system.errors import UserError
from tests.unit import federations, results

ROUNDS = 3
PROTOCOL = {
    "preset": "official",
    "clients": 4,
    "rounds": ROUNDS,
    "slices": 2,
    "local_epochs": 1,
    "batch_size": 8,
    "partition": {"partitioner": "iid", "options": {}},
}
STRATEGIES = ["standalone", "max_common"]
STUDY = {
    "study": "narrow",
    "blocks": [{"dataset": "digits", "families": ["vgg"]}],
    "strategies": STRATEGIES,
    "seeds": [0],
    "protocols": {"tiny": PROTOCOL},
    "families": {"vgg": {"width": 0.0625}},
    "checkpoint_minutes": 0,
}


def write_queue(folder: Path, **changes: object) -> None:
    study = config.parse({**STUDY, **changes})
    (folder / "reference").mkdir(exist_ok=True)
    (folder / "reference/queue.jsonl").write_text(queue.text([study.run(cell) for cell in study.cells()]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a queue of two cells in `reference/` and small data for them."""
    monkeypatch.chdir(tmp_path)
    write_queue(tmp_path)
    federations.prepared(tmp_path / "results/narrow/data/digits")
    return tmp_path


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`python -m flexifed reference`, as on a machine without pydantic and Snakemake."""
    program = (
        f"import sys, runpy; sys.path.insert(0, {str(registry.PACKAGE.parent)!r});"
        "sys.modules['pydantic'] = sys.modules['snakemake'] = None;"
        f"sys.argv = ['flexifed', 'reference', 'reference', *{list(arguments)!r}];"
        "runpy.run_module('flexifed', run_name='__main__')"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def call(folder: Path, *arguments: str, code: int = 0) -> tuple[list[str], str]:
    """The standings that are printed in the end, and what is said on the way."""
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return [line.split()[0] for line in out.splitlines()], err


def states(place: str = "reference") -> list[str]:
    return [standing.state for standing in Queue(Path("reference"), Path(place)).standings()]


def cell(place: str, strategy: str = "standalone") -> Path:
    return Path(place) / f"cells/digits/vgg/{strategy}/tiny/seed0"


def until(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something that a process brings about; on a busy machine its start alone may take a minute."""
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "it did not come to this"
        if process is not None and process.poll() is not None:
            assert condition(), f"{how_it_ended(process.returncode)}: {process.communicate()[1]}"
        time.sleep(0.02)


def first() -> queue.Run:
    return Queue(Path("reference")).runs[0]


def go(minutes: float, *, again: bool = False, out: str = "reference") -> tuple[list[str], list[str]]:
    """Work on the queue in this process; returns what failed and how the cells stand then."""
    work = Work(Queue(Path("reference"), Path(out)), Unlimited(), 1, "cpu")
    work.go(minutes, again)
    return work.failed, states(out)


def test_two_queues_on_one_folder_run_no_cell_twice(folder: Path) -> None:
    both = [start(folder, "--minutes", "5") for _ in range(2)]
    said = "".join(process.communicate(timeout=300)[1] for process in both)
    assert said.count("started") == said.count("finished") == len(STRATEGIES)
    for strategy in STRATEGIES:
        record = files.read_json(cell("reference", strategy) / "run.json")
        assert [session["first"] for session in record["sessions"]] == [1]
        history = (cell("reference", strategy) / "history.parquet").read_bytes()
        assert history == (cell("results/narrow", strategy) / "history.parquet").read_bytes()
    assert Path("reference/plans/vgg/max_common/tiny.json").is_file()
    changed = (cell("reference") / "run.json").stat().st_mtime_ns
    assert go(5) == ([], ["done", "done"])
    assert (cell("reference") / "run.json").stat().st_mtime_ns == changed


def test_at_the_deadline_a_cell_stops_after_its_round_and_leaves_a_checkpoint(folder: Path) -> None:
    write_queue(folder, protocols={"tiny": {**PROTOCOL, "rounds": 100_000}})
    for minutes in (0.1, 0.5, 2):  # until there is time for a round on this machine
        begun = time.monotonic()
        failed, found = go(minutes)
        assert 60 * minutes <= time.monotonic() - begun < 60 * minutes + 30
        assert failed == []
        if found == ["begun", "missing"]:
            break
    assert states() == ["begun", "missing"]
    assert not cell("reference").exists()


def kill_when(folder: Path, condition: Callable[[], object]) -> None:
    """Work on the queue and kill -9 it as soon as something is so."""
    process = start(folder, "--minutes", "5")
    until(condition, process)
    process.kill()
    process.communicate()
    until(lambda: "running" not in states())  # the system tells its cell


def test_after_kill_9_nothing_is_lost_and_nothing_is_run_twice(folder: Path) -> None:
    write_queue(folder, protocols={"tiny": {**PROTOCOL, "rounds": 8}})
    kill_when(folder, lambda: list(cell("results/narrow").glob("checkpoints/*.json")))
    before = states()
    assert before == ["begun", "missing"]
    found, _ = call(folder, "--minutes", "5", "--jobs", "2")
    assert found == ["done", "done"]
    record = files.read_json(cell("reference") / "run.json")
    begins = [session["first"] for session in record["sessions"]]
    assert len(begins) == 2 and begins[1] > 1
    assert record["side_by_side"] == 2
    published = (cell("reference") / "history.parquet").read_bytes()
    assert (single.run(first(), "cpu") / "history.parquet").read_bytes() == published  # as of a run in one go


def test_ctrl_c_stops_the_cells_with_a_checkpoint(folder: Path) -> None:
    write_queue(folder, protocols={"tiny": {**PROTOCOL, "rounds": 100_000}})
    process = start(folder, "--minutes", "5")
    until(lambda: list(cell("results/narrow").glob("checkpoints/*.json")), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert [line.split()[0] for line in out.splitlines()] == ["begun", "missing"]
    assert "stopped by SIGINT; run it again to go on" in err


def test_what_was_trained_and_not_published_is_published(folder: Path) -> None:
    single.run(first(), "cpu")
    assert states("out") == ["trained", "missing"]
    assert go(0, out="out") == ([], ["done", "missing"])
    assert states("elsewhere") == ["trained", "missing"]
    assert files.read_json(cell("out") / "run.json")["side_by_side"] is None


def change_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "code", lambda self: "0123456789abcdef")


def change_partition_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "partition_code", lambda self: "0123456789abcdef")


def change_strategy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexifed.strategies.standalone.groups", registry.load("strategy", "max_common").groups)


def change_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_queue(folder, protocols={"tiny": {**PROTOCOL, "optimiser": {"learning_rate": 0.02}}})


def change_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    federations.prepared(folder / "results/narrow/data/digits", n_train=60)


def damage_record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("reference", "results/narrow"):
        (cell(place) / "run.json").write_text("[]")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_code, "other code"),
        (change_partition_code, "other partition code"),
        (change_strategy, "other plan"),
        (change_settings, "other settings"),
        (change_data, "other data"),
        (damage_record, "other record, which is damaged"),
    ],
)
def test_what_is_of_other_code_settings_or_data_is_stale(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, pytest.MonkeyPatch], None], said: str
) -> None:
    single.run(first(), "cpu")
    assert go(0) == ([], ["done", "missing"])
    change(folder, monkeypatch)
    standing = next(Queue(Path("reference")).standings())
    assert (standing.state, standing.detail) == ("stale", said)


def test_stale_cells_stay_until_they_are_asked_for_and_come_last(folder: Path) -> None:
    single.run(first(), "cpu")
    assert go(0) == ([], ["done", "missing"])
    old = files.read_json(cell("reference") / "run.json")
    write_queue(folder, protocols={"tiny": {**PROTOCOL, "optimiser": {"learning_rate": 0.02}}})
    assert go(5) == ([], ["stale", "done"])
    assert files.read_json(cell("reference") / "run.json") == old
    assert go(5, again=True) == ([], ["done", "done"])
    assert files.read_json(cell("reference") / "run.json")["settings"] != old["settings"]


def test_a_cell_that_fails_is_named_and_the_others_go_on(folder: Path) -> None:
    out = cell("results/narrow")
    out.parent.mkdir(parents=True)
    out.write_text("a file where a folder should be")
    failed, found = go(5)
    assert found == ["missing", "done"]
    assert len(failed) == 1
    assert failed[0].startswith("digits/vgg/standalone/tiny/seed0: ")
    assert "results/narrow/logs/cells/digits/vgg/standalone/tiny/seed0.log" in failed[0]


def test_a_cell_that_is_killed_is_named_with_the_signal_and_the_others_go_on(folder: Path) -> None:
    work = Work(Queue(Path("reference")), Unlimited(), 1, "cpu")

    def kill() -> None:
        until(lambda: work.running and " on " in work.running[0].log.read_text())
        work.running[0].process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    work.go(5, again=False)
    killer.join()
    assert len(work.failed) == 1
    assert work.failed[0].startswith("digits/vgg/standalone/tiny/seed0: killed by SIGKILL, last words: ")
    assert states() == ["missing", "done"]


def running(kind: str, seconds: float) -> Running:
    """A cell of a family that has run for so long; its process is of no account."""
    run = federations.job(family=kind)
    stub = queue.Run("narrow", run, single.Source(None, None, {}, "downloads"))
    return Running(stub, None, None, Path(), time.monotonic() - seconds)  # type: ignore[arg-type]


def test_memory_is_measured_alone_and_then_shared() -> None:
    free = iter([100.0, 80.0, 70.0])
    memory = Memory(lambda: next(free))
    vgg, other = running("vgg", sidebyside.SETTLED_SECONDS), running("resnet", 0)
    assert memory.fits(vgg.run, [])
    assert not memory.fits(vgg.run, [vgg])  # not known yet
    memory.observe([running("vgg", 1)])  # too early: nothing is read
    memory.observe([vgg])  # 20 of 100
    assert memory.fits(vgg.run, [vgg] * 3)
    assert not memory.fits(vgg.run, [vgg] * 4)  # 100 > 90
    assert not memory.fits(other.run, [vgg])
    memory.observe([vgg])  # it has taken more: 30
    assert memory.fits(vgg.run, [vgg] * 2)
    assert not memory.fits(vgg.run, [vgg] * 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "expected the cells of one study"), ("{}\n", "line 1: not a resolved cell"), (None, "No such file")],
)
def test_what_is_no_queue_is_an_error(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "queue.jsonl").write_text(content)
    with pytest.raises(UserError, match=said):
        Queue(tmp_path)


def test_results_do_not_go_where_cells_are_trained(folder: Path) -> None:
    with pytest.raises(UserError, match="cells are trained there"):
        Queue(Path("reference"), Path("results/narrow"))


# What is made of it


SESSIONS = {"sessions": [{"device": "an abacus"}]}


def reported(folder: Path, *, n_train: int, width: float = 1.0, device: Mapping[str, object] = SESSIONS) -> str:
    """The README's text on one of two cells, of unverified data with so many training samples."""
    reference = folder / "full"
    cells = [Cell("cifar10", "vgg", strategy, "official", 0) for strategy in STRATEGIES]
    source = single.Source(None, None, {}, "downloads")
    runs = [queue.Run("full", Job(cell, results.PROTOCOL, {}, "serial"), source) for cell in cells]
    out = results.write_cell(
        reference / "cells/cifar10/vgg/standalone/official/seed0",
        cells[0],
        {"V1": 60.0, "V2": 62.0},
        verified=False,
        width=width,
    )
    record = json.loads((out / "run.json").read_text())
    record["data"] |= {"n_train": n_train, "n_test": 10_000, "digests": {"train.npy": "a", "test.npy": "b"}}
    record |= {"side_by_side": 3, "seconds": 150.0, **device}
    (out / "run.json").write_text(json.dumps(record))
    (reference / "queue.jsonl").write_text(queue.text(runs))
    (folder / "copies.json").write_text(json.dumps([{"train.npy": "a", "test.npy": "b", "text": "a copy by hand"}]))
    for run in runs[:1]:
        single.make_plan(run.job, reference / "plans/vgg/standalone/official.json")
    page = referencereport.render(reference)
    assert "cifar10/vgg/max_common/official/seed0" in page.read_text()  # among the missing
    assert (reference / "figures/convergence.cifar10.vgg.official.png").is_file()
    return referencetext.section(reference)


@pytest.mark.parametrize("device", [SESSIONS, {"device": "an abacus"}], ids=["sessions", "older record"])
def test_complete_data_that_are_not_verified_are_compared_and_labelled(
    folder: Path, device: Mapping[str, object]
) -> None:
    text = reported(folder, n_train=50_000, device=device)
    assert "1 of the 2 cells in the queue have been run" in text
    assert "data: local copy, not verified" in text
    assert "published: paper | 64.6 |" in text  # of VGG-11 and VGG-13, as ours
    assert "published: 2006wzt/FlexiFed-IMP |" in text
    assert "Not to be set beside" not in text
    assert "| CIFAR-10, VGG, protocol official | 1 | 0 | an abacus | 2.5 | 3 | a copy by hand |" in text


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({"n_train": 49_999}, "data: local copy, not verified, 49,999 of 50,000 training and 10,000 of 10,000 test"),
        ({"n_train": 50_000, "width": 0.125}, "width 1/8"),
    ],
)
def test_partial_data_and_narrow_models_are_labelled_and_not_compared(
    folder: Path, settings: dict[str, int], note: str
) -> None:
    text = reported(folder, **settings)
    assert note in text
    assert "Not to be set beside the paper's numbers" in text
    assert "published: paper" not in text


def test_without_results_the_text_says_so(folder: Path) -> None:
    text = referencetext.section(Path("reference"))
    assert text.startswith("**There are no full-width results yet.** None of the 2 cells")
    with pytest.raises(UserError, match="no cell of its queue is there yet"):
        referencereport.render(Path("reference"))


def test_fairness_and_simulated_seconds_are_reported_where_they_are_measured(folder: Path) -> None:
    measured = {"versions": ["V1"], "participants": 2, "tested": "all", "devices": {"capacity": "lognormal"}}
    write_queue(folder, protocols={"tiny": {**PROTOCOL, **measured}}, strategies=["fedavg", "oort"])
    assert go(5) == ([], ["done", "done"])
    page = referencereport.render(Path("reference"))
    assert Path("reference/figures/convergence_seconds.digits.vgg.tiny.png").is_file()
    text = page.read_text()
    assert 'id="what-each-tier-can-afford"' not in text
    assert 'id="fairness"' in text and 'id="time-on-devices"' in text


def test_a_table_of_budgets_is_published_and_drawn(folder: Path) -> None:
    elastic = {"versions": ["B1", "B2"], "budgets": {"levels": [0.5, 1]}}
    write_queue(folder, protocols={"tiny": {**PROTOCOL, **elastic}}, strategies=["heterofl"])
    assert go(5) == ([], ["done"])
    assert Path("reference/budgets/digits/vgg/tiny.json").is_file()
    assert Path("reference/plans/digits/vgg/heterofl/tiny.json").is_file()
    page = referencereport.render(Path("reference"))
    assert Path("reference/figures/budgets.digits.vgg.tiny.png").is_file()
    assert 'id="what-each-tier-can-afford"' in page.read_text()
