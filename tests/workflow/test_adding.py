"""The examples of docs/adding.md, followed literally in a copy of the repository."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.miniature import image_folders
from tests.workflow.conftest import REPOSITORY, copy

DOCUMENT = (REPOSITORY / "docs/adding.md").read_text()


def blocks(heading: str, language: str) -> list[str]:
    """The code blocks of a section of the document."""
    (section,) = [part for part in re.split(r"^#{2,3} ", DOCUMENT, flags=re.M) if part.startswith(f"{heading}\n")]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, flags=re.M | re.S)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to which the tests add files."""
    folder = copy(tmp_path_factory.mktemp("adding") / "checkout")
    shutil.copy(REPOSITORY / "README.md", folder)
    for part in ("docs", "tests", "results/reference"):
        shutil.copytree(REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(folder: Path, command: str, code: int = 0) -> str:
    """What a command of the document says, results last."""
    words = [sys.executable, *command.split()[1:]]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    output = done.stderr + done.stdout
    assert done.returncode == code, output[-6000:]
    return output


def test_a_folder_of_images_from_the_document_to_a_trained_cell(repository: Path) -> None:
    heading = "A data set that is a folder"
    dataset, small_folder = blocks(heading, "python")
    (study,) = blocks(heading, "yaml")
    cells, cell = "".join(blocks(heading, "bash")).splitlines()
    (repository / "flexifed/datasets/shapes.py").write_text(dataset)
    (repository / "config/shapes.yaml").write_text(study)

    assert "datasets.shapes.local: no copy of the data in my-data/shapes" in run(repository, cells, code=2)
    image_folders("circle", "square", "triangle")(repository / "my-data/shapes")
    assert "shapes/vgg/max_common/short/seed0" in run(repository, cells)
    out = repository / run(repository, cell).splitlines()[-1]
    history = pd.read_parquet(out / "history.parquet")
    assert history["round"].max() == 2

    (repository / "config/without.yaml").write_text(study[: study.index("datasets:\n")])
    refused = run(repository, cells.replace("shapes.yaml", "without.yaml"), code=2)
    expected = "datasets.shapes.local: 'shapes' has no archive to download: name a folder with circle, square, triangle"
    assert expected in refused

    with (repository / "tests/miniature/folders.py").open("a") as file:
        file.write(small_folder)
    tested = run(repository, "python -m pytest tests/contracts/test_datasets.py -k shapes")
    assert "skipped" not in tested and "10 passed" in tested


def test_a_partitioner_from_the_document_keeps_the_contract(repository: Path) -> None:
    (partitioner,) = blocks("A partitioner", "python")
    (repository / "flexifed/partitioners/neighbours.py").write_text(partitioner)
    run(repository, "python -m pytest tests/contracts/test_partitioners.py -k neighbours")
    run(repository, "python -m flexifed generate")
    keys = (repository / "config/README.md").read_text()
    assert "| partitioner `neighbours` | `protocols.….partition.options` | `shift: 0` (≥ 0) |" in keys


def test_a_strategy_from_the_document_keeps_the_contract(repository: Path) -> None:
    strategy, reading = blocks("A strategy", "python")
    (repository / "flexifed/strategies/half_common.py").write_text(strategy)
    plan = run(repository, "python -m flexifed plan vgg half_common")
    assert re.search(r"2-6 +conv2 \.\. conv6 +averaged by clients 2-7", plan)
    assert re.search(r"11-19 +conv11 \.\. fc3 +personal", plan)
    contract = repository / "tests/contracts/test_strategies.py"
    entered = reading + '\n\nORACLES["half_common"] = [pairwise_half]\n\n\n'
    place = "def fake_chain("
    contract.write_text(contract.read_text().replace(place, entered + place))
    fix = [sys.executable, "-m", "pytest", "tests/contracts", "-k", "golden and half_common", "--fix"]
    subprocess.run(fix, cwd=repository, check=True, capture_output=True)
    run(repository, "python -m pytest tests/contracts/test_strategies.py -k half_common")


def test_a_strategy_by_place_from_the_document_makes_its_plan(repository: Path) -> None:
    (strategy,) = blocks("A strategy that goes by place", "python")
    (repository / "flexifed/strategies/hetero_heads.py").write_text(strategy)
    try:
        plan = run(repository, "python -m flexifed plan resnet hetero_heads --budgets 0.1,0.25,0.5,1")
    finally:
        (repository / "flexifed/strategies/hetero_heads.py").unlink()
    assert "hetero_heads for resnet, by place in ResNet-56, channels: the first ones" in plan
    assert re.search(r"B4 = ResNet-56: clients 6-7\n +1-57 .* averaged by clients 0-7\n +58 +fc +personal", plan)


STUDY = """
study: methods
blocks: [{dataset: digits8, families: [mlp]}]
seeds: [0]
protocols:
  short:
    {preset: official, clients: 8, versions: [V1], participants: 3, rounds: 3, local_epochs: 1}
"""


def test_a_method_from_the_document_trains_and_its_options_are_checked(repository: Path) -> None:
    heading = "A method with its own server step and objective"
    (method,) = blocks(heading, "python")
    (strategies,) = blocks(heading, "yaml")
    (repository / "flexifed/strategies/prox_adagrad.py").write_text(method)
    study = repository / "config/methods.yaml"
    study.write_text(STUDY + strategies)
    listed = run(repository, "python -m flexifed cells --config config/methods.yaml")
    assert [line.split("/")[2] for line in listed.splitlines()] == ["fedavg", "prox_adagrad", "cautious"]
    ends = []
    for strategy in ("fedavg", "prox_adagrad", "cautious"):
        cell = f"python -m flexifed cell --config config/methods.yaml digits8 mlp {strategy} short 0"
        ends.append(pd.read_parquet(repository / run(repository, cell).splitlines()[-1] / "history.parquet"))
    assert all(history["round"].max() == 3 and history["client"].nunique() > 3 for history in ends)
    losses = {history[history["metric"] == "loss"]["value"].sum() for history in ends}
    assert len(losses) == 3, "every method goes its own way"

    study.write_text((STUDY + strategies).replace("mu: 1.0", "mu: -1.0"))
    refused = run(repository, "python -m flexifed cells --config config/methods.yaml", code=2)
    assert "strategy_options.cautious.mu: mu of strategy 'prox_adagrad' must be 0 or more, got -1.0" in refused
    study.write_text((STUDY + strategies).replace("[V1]", "[V1, V2]"))
    refused = run(repository, "python -m flexifed cells --config config/methods.yaml", code=2)
    assert "'fedavg' averages whole models, and clients that hold V1, V2 have different ones" in refused
    study.write_text((STUDY + strategies).replace("participants: 3", "participants: 9"))
    refused = run(repository, "python -m flexifed cells --config config/methods.yaml", code=2)
    assert "9 participants of 8 clients; ask for at most 8" in refused


def test_a_selector_from_the_document_chooses_and_keeps_the_contract(repository: Path) -> None:
    strategy, entry = blocks("A method that chooses its participants", "python")
    (repository / "flexifed/strategies/fair_turns.py").write_text(strategy)
    (repository / "config/turns.yaml").write_text(STUDY.replace("methods", "turns") + "strategies: [fair_turns]\n")
    cell = "python -m flexifed cell --config config/turns.yaml digits8 mlp fair_turns short 0"
    history = pd.read_parquet(repository / run(repository, cell).splitlines()[-1] / "history.parquet")
    turns = history[history["metric"] == "train_loss"].groupby("client").size()
    assert len(turns) == 8 and turns.sum() == 9, "nobody has a second turn before all had one"

    contract = repository / "tests/unit/test_selection.py"
    place = "def known(clients"
    imported = "from flexifed.settings import registry\n\n"
    contract.write_text(contract.read_text().replace(place, f"{imported}{entry}\n\n{place}", 1))
    assert "4 passed" in run(repository, "python -m pytest tests/unit/test_selection.py -p no:xdist -k fair_turns")


def test_a_task_from_the_document_is_what_the_data_set_is_measured_by(repository: Path) -> None:
    (task,) = blocks("A task", "python")
    (repository / "flexifed/tasks/five_guesses.py").write_text(task)
    shutil.copy(repository / "flexifed/datasets/digits8.py", repository / "flexifed/datasets/guessed.py")
    with (repository / "flexifed/datasets/guessed.py").open("a") as file:
        file.write('\n\nTASK = "five_guesses"\n')
    study = STUDY.replace("methods", "guesses").replace("digits8", "guessed") + "strategies: [fedavg]\n"
    (repository / "config/guesses.yaml").write_text(study)
    said = run(repository, "python -m flexifed cell --config config/guesses.yaml guessed mlp fedavg short 0")
    assert re.search(r"round 3/3  accuracy of five guesses \d+\.\d %", said)
    history = pd.read_parquet(repository / said.splitlines()[-1] / "history.parquet")
    history = history[history["phase"] == "aggregated"]
    of = history.pivot(index=["round", "client"], columns="metric", values="value")
    assert (of["five_guesses"] >= of["accuracy"]).all() and of["five_guesses"].mean() > of["accuracy"].mean()
