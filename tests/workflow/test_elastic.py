"""Studies with budgets through the workflow: to the report, and to the budget that no member fits."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import Checkout, copy

PRUNING = {"rounds": 4, "epochs": 1, "proxy": 0.2}
BUDGETS = {"measure": "parameters", "levels": [0.5, 1], "pruning": PRUNING}
PROTOCOL = {"preset": "clean", "clients": 2, "versions": ["B1", "B2"], "rounds": 1, "slices": 8, "local_epochs": 1}
STUDY: dict[str, Any] = {
    "study": "elastic",
    "blocks": [{"dataset": "digits8", "families": ["mlp"]}],
    "strategies": ["heterofl", "sparse"],
    "strategy_options": {"sparse": {"strategy": "elf", "cuts": "depth_and_sparsity"}},
    "seeds": [0],
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(tmp_path_factory.mktemp("elastic") / "checkout")


def study(repository: Path, name: str, budgets: dict[str, Any], **changes: Any) -> Checkout:
    values = {**STUDY, "study": name, "protocols": {"tiers": {**PROTOCOL, "budgets": budgets}}, **changes}
    (repository / f"{name}.yaml").write_text(yaml.safe_dump(values))
    return Checkout(repository, (repository / f"{name}.yaml",))


def test_a_study_with_budgets_ends_in_a_report(repository: Path) -> None:
    study(repository, "elastic", BUDGETS).snakemake()
    results = repository / "results/elastic"
    assert (results / "budgets/digits8/mlp/tiers.json").is_file()
    assert (results / "masks/digits8/mlp/tiers/seed0.safetensors").is_file()
    assert (results / "figures/budgets.digits8.mlp.tiers.png").is_file()
    assert (results / "figures/sharing.mlp.tiers.png").is_file()
    assert 'id="what-each-tier-can-afford"' in (results / "report.html").read_text()


def test_a_budget_below_every_member_stops_before_training(repository: Path) -> None:
    """Whatever the other ways to cut can do, the table is made and says why."""
    levels = {**BUDGETS, "levels": [0.05, 1]}
    output = study(repository, "small", levels, strategies=["elf"]).snakemake(check=False)
    assert "tier 'B1' can afford 0.05 of the parameters of MLP-5. Cut by depth, the smallest member, MLP-2" in output
    assert "rule train" not in output and not (repository / "results/small/cells").exists()
    assert (repository / "results/small/budgets/digits8/mlp/tiers.json").is_file()


def test_what_does_not_fit_is_refused_before_any_job(repository: Path) -> None:
    output = study(repository, "wrong", {**BUDGETS, "levels": [1, 0.5]}).snakemake("inputs", check=False)
    assert "protocols.tiers.budgets.levels.1: levels ascend from the smallest budget to the largest" in output
    assert not (repository / "results/wrong").exists()
