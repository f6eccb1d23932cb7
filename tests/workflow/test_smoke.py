"""The pipeline is tested by running it: from archives over HTTP to the report, and again after each kind of change."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from flexifed.analysis.titles import STRATEGIES
from flexifed.study import config
from tests.workflow.conftest import REPOSITORY, Checkout, copy


def cells_of(checkout: Checkout) -> list[str]:
    return [str(cell) for cell in config.read(checkout.folder / "config/smoke.yaml").cells()]


def trained(jobs: dict[str, list[str]]) -> set[str]:
    """The cells whose training a dry run plans."""
    outputs = [out for outs in jobs.get("train", []) for out in outs.split(", ")]
    return {out.split("/cells/")[1].removesuffix("/run.json") for out in outputs if out.endswith("/run.json")}


# What the first run left.


def test_every_data_set_was_downloaded_over_http_and_verified(finished: Checkout) -> None:
    for dataset in ("cifar10", "cinic10", "agnews", "speechcommands"):
        receipt = json.loads((finished.folder / f"results/smoke/data/{dataset}.source.json").read_text())
        assert receipt["verified"]
        assert all(file["url"].startswith("http://127.0.0.1") and file["sha256"] for file in receipt["files"])


def test_every_cell_has_a_history_and_a_record(finished: Checkout) -> None:
    cells = cells_of(finished)
    assert len(cells) == 10 + 2 * 7
    for cell in cells:
        record = json.loads((finished.folder / f"results/smoke/cells/{cell}/run.json").read_text())
        assert record["data"]["source"]["verified"]
        history = pd.read_parquet(finished.folder / f"results/smoke/cells/{cell}/history.parquet")
        accuracy = history[history.metric == "accuracy"]
        assert set(accuracy.phase) == {"local", "aggregated"}
        assert accuracy.value.between(0, 1).all()


def test_strategies_of_a_seed_share_partition_and_initial_weights_and_local_training_of_round_one(
    finished: Checkout,
) -> None:
    """And only of a seed: another seed differs in all three."""
    digests = {}
    for strategy in STRATEGIES:
        for seed in (0, 1):
            folder = finished.folder / f"results/smoke/cells/cifar10/vgg/{strategy}/smoke/seed{seed}"
            record = json.loads((folder / "run.json").read_text())["digests"]
            history = pd.read_parquet(folder / "history.parquet")
            first = history[(history["round"] == 1) & (history.phase == "local")]
            digests[strategy, seed] = (record["partition"], record["initial_weights"], tuple(first.value))
    assert len({digests[s, 0] for s in STRATEGIES}) == 1
    assert len({digests[s, 1] for s in STRATEGIES}) == 1
    assert all(a != b for a, b in zip(digests["standalone", 0], digests["standalone", 1], strict=True))


def test_tables_figures_and_report_are_there(finished: Checkout) -> None:
    results = finished.folder / "results/smoke"
    table = pd.read_csv(results / "tables/table1.csv")
    row = table[
        (table.dataset == "cifar10")
        & (table.family == "vgg")
        & (table.strategy == "max_common")
        & (table.version == "V1")
    ]
    assert row.n_seeds.item() == 2
    assert row.ci95_low.item() < row["mean"].item() < row.ci95_high.item()
    assert row.paper.isna().all()  # a miniature is not put beside the paper's number
    claims = pd.read_csv(results / "tables/headline.csv")
    assert set(claims.claim) == {"gain", "speed"}
    assert claims.paper_low.isna().all()
    costs = pd.read_csv(results / "tables/costs.csv")
    assert (costs.mb_up[costs.strategy == "standalone"] == 0).all()
    assert (costs.mb_up[costs.strategy == "max_common"] > 0).all()
    errors = pd.read_csv(results / "tables/errors.csv")
    assert set(errors.source[errors.dataset == "cifar10"]) >= {"paper", "2006wzt/FlexiFed-IMP"}
    assert errors.error.isna().all()
    assert not pd.read_csv(results / "tables/errors_in_all.csv").n_compared.any()
    page = (results / "report.html").read_text()
    assert len(page) > 100_000
    assert "Final number: mean over the last 10 % of the rounds, after aggregation, tested in eval()." in page
    assert "partition.options.alpha" in page and "optimiser.learning_rate" in page
    for kind in ("convergence", "costs", "errors", "sharing", "class_mix", "effects"):
        assert list((results / "figures").glob(f"{kind}*.png")), kind


def test_effects_are_of_the_blocks_that_have_their_protocols(finished: Checkout) -> None:
    table = pd.read_csv(finished.folder / "results/smoke/tables/effects.csv")
    assert set(table.dataset) == {"cifar10", "cinic10"}
    standalone = table[table.strategy == "standalone"].set_index(["dataset", "family"])
    assert standalone.loc[("cifar10", "vgg"), "outcome"] == "none"  # nothing is averaged, so no moment is another


def test_nothing_half_written_is_left(finished: Checkout) -> None:
    assert not [p for p in finished.folder.rglob("*") if ".partial" in p.name or p.name.endswith(".part")]


# Again.


def test_a_second_run_has_nothing_to_do(finished: Checkout) -> None:
    assert finished.planned() == {}


def test_snakemakes_own_report(finished: Checkout, tmp_path: Path) -> None:
    finished.snakemake("--report", str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_lint(finished: Checkout) -> None:
    assert "Congratulations" in finished.snakemake("--lint")


# After a change.


def test_learning_rate_of_one_data_set_reruns_its_cells_and_no_other(checkout: Checkout) -> None:
    checkout.edit(
        "config/smoke.yaml", "families:\n", "datasets: {cinic10: {optimiser: {learning_rate: 0.02}}}\nfamilies:\n"
    )
    jobs = checkout.planned()
    assert trained(jobs) == {cell for cell in cells_of(checkout) if cell.startswith("cinic10/")}
    assert "prepare" not in jobs and "partition" not in jobs and "plan" not in jobs


def test_the_rule_for_the_final_number_trains_nothing(checkout: Checkout) -> None:
    checkout.edit("config/smoke.yaml", "    rounds: 2\n", "    rounds: 2\n    final: {rule: best}\n")
    jobs = checkout.planned()
    assert "tables" in jobs and "train" not in jobs


def test_models_that_are_asked_for_train_what_lacks_them_and_no_longer_asked_for_nothing(checkout: Checkout) -> None:
    checkout.edit("config/smoke.yaml", "seeds: [0]\n", "seeds: [0]\nkeep_models: best\n")
    assert trained(checkout.planned()) == set(cells_of(checkout))
    cell = cells_of(checkout)[0]
    folder = checkout.folder / "results/smoke/cells" / cell
    history = (folder / "history.parquet").read_bytes()
    checkout.snakemake(f"{folder.relative_to(checkout.folder)}/models/best.json")
    assert (folder / "history.parquet").read_bytes() == history
    assert list((folder / "models").glob("client*.safetensors"))
    card = json.loads((folder / "models/client000.json").read_text())
    assert card["run"]["study"] == "smoke" and card["run"]["cell"] == cell
    assert trained(checkout.planned()) == set(cells_of(checkout)) - {cell}
    checkout.edit("config/smoke.yaml", "keep_models: best\n", "")
    assert "train" not in checkout.planned()


def test_a_live_view_trains_nothing_and_is_written_by_what_is_trained(checkout: Checkout) -> None:
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    checkout.edit("config/smoke.yaml", "seeds: [0]\n", "seeds: [0]\ntensorboard: true\n")
    assert "Nothing to be done" in checkout.snakemake("-n")
    cell = cells_of(checkout)[0]
    folder = checkout.folder / "results/smoke/cells" / cell
    history = (folder / "history.parquet").read_bytes()
    (folder / "run.json").unlink()
    checkout.snakemake(f"{folder.relative_to(checkout.folder)}/run.json")
    assert (folder / "history.parquet").read_bytes() == history
    views = [path.parent for path in (checkout.folder / "results/smoke").rglob("events.*")]
    assert views == [checkout.folder / "results/smoke/tensorboard" / cell]


@pytest.mark.parametrize("name", ["history.parquet", "run.json", ""], ids=["history", "record", "folder"])
def test_a_cell_whose_files_were_removed_is_trained_again(checkout: Checkout, name: str) -> None:
    cell = cells_of(checkout)[0]
    path = checkout.folder / "results/smoke/cells" / cell / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    jobs = checkout.planned()
    assert trained(jobs) == {cell}
    assert {"collect", "tables", "report_page"} <= set(jobs)


def test_a_comment_in_a_strategy_reruns_nothing(checkout: Checkout) -> None:
    checkout.edit("flexifed/strategies/max_common.py", "for node in", "# in words\n    for node in")
    assert checkout.planned() == {}


def test_better_words_and_a_new_key_of_the_protocol_rerun_nothing(checkout: Checkout) -> None:
    checkout.edit("flexifed/training/rounds.py", "lower `optimiser.learning_rate`", "reduce `optimiser.learning_rate`")
    checkout.edit("flexifed/data/samples.py", "has changed since it was prepared", "is not what was prepared")
    checkout.edit(
        "flexifed/settings/protocol.py",
        "    rounds: Count = 502\n",
        "    rounds: Count = 502\n    patience: int = 0\n",
    )
    assert checkout.planned() == {}


def test_a_script_of_newer_date_reruns_nothing(checkout: Checkout) -> None:
    """As after a checkout of another branch and back."""
    (checkout.folder / "workflow/scripts/train.py").touch()
    assert checkout.planned() == {}


def test_a_new_rule_of_a_strategy_reruns_its_cells_only(checkout: Checkout) -> None:
    checkout.edit("flexifed/strategies/max_common.py", "yield Group", "if node.depth != 3:\n            yield Group")
    jobs = checkout.planned()
    assert trained(jobs) == {cell for cell in cells_of(checkout) if "/max_common/" in cell}
    assert {path.split("/")[-2] for path in jobs["plan"]} == {"max_common"}


def test_a_tidied_strategy_with_the_same_plan_reruns_no_cell(checkout: Checkout) -> None:
    checkout.edit(
        "flexifed/strategies/max_common.py", "for node in tree.walk():", "nodes = tree.walk()\n    for node in nodes:"
    )
    assert "plan" in checkout.planned("inputs")
    checkout.snakemake("inputs")
    assert "train" not in checkout.planned()


def test_a_change_of_the_core_reruns_every_cell(checkout: Checkout) -> None:
    checkout.edit("flexifed/engines/_workspace.py", "EVALUATION_BATCH = 500", "EVALUATION_BATCH = 400")
    assert trained(checkout.planned()) == set(cells_of(checkout))


def test_a_change_of_one_family_reruns_its_cells_only(checkout: Checkout) -> None:
    checkout.edit("flexifed/models/resnet.py", "CHANNELS = (1, 2, 4)", "CHANNELS = (1, 2, 3)")
    assert trained(checkout.planned()) == {cell for cell in cells_of(checkout) if "/resnet/" in cell}


def test_a_new_data_set_file_reruns_nothing(checkout: Checkout) -> None:
    source = checkout.folder / "flexifed/datasets/digits.py"
    source.with_name("digits_too.py").write_text(source.read_text())
    assert checkout.planned() == {}


# What goes wrong.


def test_a_misspelt_strategy_stops_before_any_job(checkout: Checkout) -> None:
    checkout.edit("config/smoke.yaml", "strategies: [standalone, max_common]", "strategies: [standalone, max-common]")
    output = checkout.snakemake(check=False)
    assert "unknown strategy 'max-common'. Did you mean 'max_common'?" in output
    assert "Traceback" not in output


def test_a_wrong_checksum_stops_the_study_and_names_the_file(checkout: Checkout, tmp_path: Path) -> None:
    overlay = checkout.configfiles[1].read_text()
    digest = json.loads((checkout.folder / "results/smoke/data/cifar10.source.json").read_text())["files"][0]["sha256"]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(overlay.replace(digest, "f" * 64))
    fresh = Checkout(copy(tmp_path / "fresh"), (checkout.configfiles[0], wrong))
    output = fresh.snakemake("results/smoke/data/cifar10/card.json", check=False)
    assert "cifar-10-binary.tar.gz" in output and "f" * 64 in output and digest in output
    assert not list((fresh.folder / "downloads").rglob("*.gz"))


# The full study.


def test_the_full_study_is_120_training_jobs(tmp_path: Path) -> None:
    jobs = Checkout(copy(tmp_path / "full"), ()).planned()
    assert len(jobs["train"]) == 120
    assert len(jobs["download"]) == len(jobs["prepare"]) == 4
    assert len(jobs["partition"]) == 4 * 3
    assert len(jobs["plan"]) == 4 * 5


def test_the_repository_has_no_results_of_its_own_tests() -> None:
    assert not (REPOSITORY / "results/smoke").exists()
