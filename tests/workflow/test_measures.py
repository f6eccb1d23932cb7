"""Fairness and simulated seconds are made where a protocol measures them, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import Checkout, copy

PROTOCOL: dict[str, Any] = {"preset": "clean", "clients": 4, "participants": 2, "rounds": 1, "versions": ["V1"]}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(tmp_path_factory.mktemp("measures") / "checkout")


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, set()),
        ({"tested": "all", "test_set": "shard"}, {"fairness"}),
        ({"tested": "all", "test_set": "whole"}, set()),
        ({"devices": {"capacity": "lognormal"}}, {"seconds", "convergence_seconds"}),
    ],
)
def test_rules_of_a_study_are_those_of_its_protocols(
    repository: Path, changes: dict[str, Any], rules: set[str]
) -> None:
    study = {
        "study": "mine",
        "blocks": [{"dataset": "digits8", "families": ["mlp"]}],
        "strategies": ["fedavg"],
        "seeds": [0],
        "protocols": {"short": {**PROTOCOL, **changes}},
    }
    (repository / "mine.yaml").write_text(yaml.safe_dump(study))
    planned = Checkout(repository, (repository / "mine.yaml",)).planned()
    assert planned.keys() & {"fairness", "seconds", "convergence_seconds"} == rules
    assert "convergence" in planned
