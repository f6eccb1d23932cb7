"""Taobao's tables through the whole workflow: in miniature, and as they lie in local-data/ where there are any."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests import miniature
from tests.workflow.conftest import REPOSITORY, Checkout, copy

STRATEGIES = ("fedavg", "personal_users")
LOCAL = REPOSITORY / "local-data/taobao"


def run(checkout: Path, study: dict[str, Any], data: Path, **options: int) -> Path:
    """Run a study of Taobao in a new copy of the repository; returns the folder of its results."""
    (copy(checkout) / "mine.yaml").write_text(
        yaml.safe_dump({**study, "datasets": {"taobao": {"local": str(data), "options": options}}})
    )
    Checkout(checkout, (checkout / "mine.yaml",)).snakemake()
    return checkout / "results" / str(study["study"])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty users, all of them clients as the guide wants them, two rounds."""
    root = tmp_path_factory.mktemp("clicks")
    miniature.taobao(root / "taobao")
    protocol = {"preset": "fedscale_guide", "clients": 30, "participants": 10, "rounds": 2, "evaluate_every": 1}
    study = {
        "study": "ads",
        "blocks": [{"dataset": "taobao", "families": ["dlrm"]}],
        "strategies": [*STRATEGIES],
        "seeds": [0],
        "protocols": {"ads": protocol},
    }
    return run(root / "checkout", study, root / "taobao")


def test_a_local_copy_is_prepared_and_dealt_by_users(results: Path) -> None:
    card = json.loads((results / "data/taobao/card.json").read_text())
    assert (card["n_train"], card["n_test"], card["source"]["verified"]) == (1600, 400, False)
    assert card["shape"][:3] == [10, 30, 20], "dense features, users, ad groups"
    dealt = pd.read_parquet(results / "partitions/taobao/ads/seed0.parquet")
    users = pd.read_parquet(results / "data/taobao/train.parquet")["group"]
    train = dealt[dealt["split"] == "train"]
    assert (users[train["sample"]].groupby(train["client"].to_numpy()).nunique() == 1).all() and len(train) == 1600


def test_clicks_are_measured_together_and_users_rows_are_not_sent_where_they_are_personal(results: Path) -> None:
    sent = {}
    for strategy in STRATEGIES:
        cell = results / f"cells/taobao/dlrm/{strategy}/ads/seed0"
        history = pd.read_parquet(cell / "history.parquet")
        together = history[(history["client"] == -1) & (history["round"] == 2)].set_index("metric")["value"]
        assert {"auc", "gauc", "loss", "accuracy"} <= set(together.index) and together["auc"] != 0.5
        record = json.loads((cell / "run.json").read_text())
        sent[strategy] = sum(client["up"] for client in record["bytes_per_round"])
    assert sent["personal_users"] < sent["fedavg"]


def test_tables_figures_and_report_are_of_the_auc(results: Path) -> None:
    table = pd.read_csv(results / "tables/table1.csv")
    assert set(table["strategy"]) == set(STRATEGIES) and table["mean"].between(0, 100).all()
    assert list((results / "figures").glob("convergence.taobao.dlrm.ads.png"))
    page = (results / "report.html").read_text()
    assert "AUC" in page and "Taobao" in page and "not verified" in page


@pytest.mark.skipif(not LOCAL.is_dir(), reason="no tables of Taobao in local-data/taobao")
def test_the_study_of_the_docs_runs_on_few_real_impressions(tmp_path: Path) -> None:
    """No number is expected: a hundred test samples tell nothing but that the tables are read and learnt from."""
    text = (REPOSITORY / "docs/data.md").read_text().split("```yaml\nstudy: few_ads")[1].split("```")[0]
    study = yaml.safe_load(f"study: few_ads{text}")
    results = run(tmp_path / "checkout", study, LOCAL, rows=512)
    assert (results / "report.html").stat().st_size > 100_000
    assert pd.read_csv(results / "tables/table1.csv")["n_seeds"].eq(1).all()
