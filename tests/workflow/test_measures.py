"""Fairness, simulated seconds and budgets are shown where a protocol has them, and nowhere else."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import Checkout, copy

SOMETIMES = {"fairness", "seconds", "convergence_seconds", "budgets", "budgets_figure", "elastic_plan", "masks"}
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
        ({"versions": ["B1", "B2"], "budgets": {"levels": [0.5, 1]}}, {"budgets", "budgets_figure", "elastic_plan"}),
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
    assert planned.keys() & SOMETIMES == rules
    assert "convergence" in planned
