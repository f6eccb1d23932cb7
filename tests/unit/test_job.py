"""A cell is up to date where its record has the same settings, read through today's defaults, and the same code."""

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from flexifed.settings.job import Job
from flexifed.training.checkpoint import Checkpoints, Saved
from flexifed.training.history import History
from flexifed.training.rules import Mean
from flexifed.training.server import Server
from tests.unit import federations

JOB = federations.job("basic_common")


def record(job: Job, change: Callable[[dict[str, Any]], object] = lambda settings: None) -> dict[str, Any]:
    """A run record of a job, its settings changed."""
    settings = json.loads(json.dumps(job.settings()))
    settings["protocol"] |= {"final": {"rule": "last"}, "family_options": {}}
    change(settings)
    return {"settings": settings, "digests": {"code": job.code()}}


OLDER: dict[str, Callable[[dict[str, Any]], object]] = {
    "as it is": lambda settings: None,
    "before a key of the protocol": lambda settings: settings["protocol"].pop("common_layers"),
    "before a key of its optimiser": lambda settings: settings["protocol"]["optimiser"].pop("state"),
    "before a key of the job": lambda settings: settings.pop("precision"),
}
OTHER: dict[str, Callable[[dict[str, Any]], object]] = {
    "another value": lambda settings: settings["protocol"].update(rounds=3),
    "no value where ours is not the default": lambda settings: settings["protocol"].pop("rounds"),
    "a key that is no longer known": lambda settings: settings["protocol"].update(gone=1),
    "a value that is no longer known": lambda settings: settings["protocol"].update(classifier="gone"),
    "another option of the family": lambda settings: settings.update(family_options={"width": 1.0}),
}


@pytest.mark.parametrize("change", OLDER)
def test_a_record_from_before_a_key_is_up_to_date_where_ours_is_the_default(tmp_path: Path, change: str) -> None:
    found = record(JOB, OLDER[change])
    path = tmp_path / "run.json"
    path.write_text(json.dumps(found))
    assert JOB.is_up_to_date(path)
    protocol = {key: value for key, value in found["settings"]["protocol"].items() if key != "final"}
    del protocol["family_options"]
    expected = {"settings": {**found["settings"], "protocol": protocol}, "code": JOB.code()}
    assert JOB.identity(path) == expected, "what Snakemake saw when the cell was trained"


@pytest.mark.parametrize("change", OTHER)
def test_a_record_of_other_settings_is_not(tmp_path: Path, change: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record(JOB, OTHER[change])))
    assert not JOB.is_up_to_date(path)
    assert JOB.identity(path) == JOB.identity(tmp_path / "missing.json")


def test_a_record_of_other_code_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**record(JOB), "digests": {"code": "0123456789abcdef"}}))
    assert not JOB.is_up_to_date(path)
    assert JOB.identity(path)["code"] == JOB.code()


def nobody() -> Server:
    """The server of a federation without clients."""
    return Server([], [], Mean(), lambda client: pytest.fail("nobody starts"), torch.device("cpu"))


class Nothing:
    """An attendance that depends on nothing."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        assert state == {}


@pytest.mark.parametrize("change", [*OLDER, *OTHER])
def test_a_checkpoint_is_used_as_a_record_is(tmp_path: Path, change: str) -> None:
    identity = {"cell": "any", **JOB.settings()}
    older = copy.deepcopy(json.loads(json.dumps(identity)))
    (OLDER | OTHER)[change](older)
    assert Checkpoints(tmp_path, older, 0, nobody(), Nothing()).save(Saved(1, History(), ()))
    restored = Checkpoints(tmp_path, identity, 0, nobody(), Nothing()).restore()
    assert (restored is not None) == (change in OLDER)
