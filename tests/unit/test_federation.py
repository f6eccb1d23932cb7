"""The round loop and the serial engine, on federations small enough to check from outside."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from flexifed.engines import serial
from flexifed.settings import registry
from flexifed.system.errors import UserError
from flexifed.training.client import Turn
from flexifed.training.engine import Federation
from tests.unit import federations

GOLDEN = Path(__file__).parents[1] / "golden/loss"


def model_of(assembled: Federation, turn: Turn) -> nn.Module:
    """The client's model."""
    model = assembled.models[turn.client.version]
    turn.weights.put_into(model)
    return model


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (federations.run(tmp_path, federations.job(), name) for name in ("first", "second"))
    assert (first / "history.parquet").read_bytes() == (second / "history.parquet").read_bytes()


def test_another_seed_gives_another_history(tmp_path: Path) -> None:
    first = federations.history(federations.run(tmp_path, federations.job(seed=0), "first"))
    second = federations.history(federations.run(tmp_path, federations.job(seed=1), "second"))
    assert not np.allclose(first.value, second.value)


def local_losses(folder: Path, strategy: str, poisoned: bool) -> pd.DataFrame:
    """Training losses by client after two rounds; poisoned: client 3 holds other samples."""
    assembled = federations.assemble(folder, federations.job(strategy))
    if poisoned:
        assembled.train.labels[torch.from_numpy(assembled.clients[3].train)] = 0
    history = federations.loop(assembled, serial.create(assembled))
    history.write(folder / "poisoned.parquet")
    table = pd.read_parquet(folder / "poisoned.parquet")
    return table[(table.metric == "train_loss") & (table["round"] == 2)].set_index("client").value


def test_standalone_clients_never_influence_each_other(tmp_path: Path) -> None:
    clean, poisoned = (local_losses(tmp_path, "standalone", poison) for poison in (False, True))
    assert (clean[:3] == poisoned[:3]).all()
    assert clean[3] != poisoned[3]


def test_clients_that_share_a_layer_do(tmp_path: Path) -> None:
    clean, poisoned = (local_losses(tmp_path, "basic_common", poison) for poison in (False, True))
    assert (clean != poisoned).all()


def test_all_strategies_of_a_seed_start_from_the_same_weights(tmp_path: Path) -> None:
    digests = {
        federations.digest(federations.assemble(tmp_path, federations.job(strategy, versions=("V2",))))
        for strategy in registry.names("strategy")
        if not registry.constant("strategy", strategy, "BY_PLACE", False)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(("setting", "equal"), [("per_version", True), ("per_client", False)])
def test_initial_weights_of_clients_of_one_version(tmp_path: Path, setting: str, equal: bool) -> None:
    assembled = federations.assemble(tmp_path, federations.job(clients=8, initial_weights=setting))
    states = [numbers.state() for numbers in federations.numbers(assembled)[:2]]
    assert assembled.clients[0].version == assembled.clients[1].version
    assert torch.equal(states[0]["conv1.weight"], states[1]["conv1.weight"]) == equal


def test_common_layers_may_start_equal(tmp_path: Path) -> None:
    """VGG: conv1 is common to all versions, conv2 to conv6 to V2, V3 and V4, conv7 to V3 and V4."""
    assembled = federations.assemble(tmp_path, federations.job(initial_weights="common"))
    first, *others = (numbers.state() for numbers in federations.numbers(assembled))
    assert all(torch.equal(first["conv1.weight"], state["conv1.weight"]) for state in others)
    for name in ("conv2.weight", "conv6.weight"):
        assert torch.equal(others[0][name], others[1][name])
        assert torch.equal(others[0][name], others[2][name])
    assert torch.equal(others[1]["conv7.weight"], others[2]["conv7.weight"])
    assert not torch.equal(others[0]["fc3.weight"], others[1]["fc3.weight"])


def test_local_training_is_a_plain_loop_of_sgd_steps(tmp_path: Path) -> None:
    """Written out with the update rule of SGD with momentum and weight decay, instead of an optimiser."""
    assembled = federations.assemble(tmp_path, federations.job("standalone"))
    turn = assembled.server.download(assembled.clients)[2]
    model = copy.deepcopy(model_of(assembled, turn)).train()
    federations.sgd(assembled, turn.client, model, federations.at_rest(model), 1)
    serial.create(assembled).train(1, [turn])
    for name, parameter in model_of(assembled, turn).named_parameters():
        torch.testing.assert_close(parameter, dict(model.named_parameters())[name], rtol=1e-5, atol=1e-7)


def test_evaluation_counts_right_answers_and_changes_nothing(tmp_path: Path) -> None:
    assembled = federations.assemble(tmp_path, federations.job())
    engine = serial.create(assembled)
    turns = federations.trained(assembled, engine)
    before = [turn.weights.values.clone() for turn in turns]
    evaluations = engine.test(turns)
    engine.test_train_mode(1, turns)
    assert all(torch.equal(turn.weights.values, values) for turn, values in zip(turns, before, strict=True))
    for turn, evaluation in zip(turns, evaluations, strict=True):
        inputs = assembled.transform.test(assembled.test.inputs[torch.from_numpy(turn.client.test)])
        answers = model_of(assembled, turn).eval()(inputs).argmax(1).numpy()
        labels = assembled.test.labels.numpy()[turn.client.test]
        assert evaluation.means["accuracy"] == sum(a == b for a, b in zip(answers, labels, strict=True)) / len(labels)


def test_aggregated_clients_of_a_group_hold_equal_layers(tmp_path: Path) -> None:
    assembled = federations.assemble(tmp_path, federations.job("basic_common"))
    turns = federations.trained(assembled, serial.create(assembled))
    conv1 = [turn.weights.state()["conv1.weight"].clone() for turn in turns]
    assembled.server.upload(turns)
    assembled.server.step()
    states = [numbers.state() for numbers in federations.numbers(assembled)]
    for state in states:
        torch.testing.assert_close(state["conv1.weight"], sum(conv1) / 4)
    conv2 = {state["conv2.weight"].sum().item() for state in states}
    assert len(conv2) == 4


def test_phases_and_metrics_of_every_evaluated_round(tmp_path: Path) -> None:
    history = federations.history(federations.run(tmp_path, federations.job(rounds=5, evaluate_every=3)))
    found = history.groupby(["round", "phase", "metric"]).client.nunique()
    expected = {("local", "accuracy"), ("local", "loss"), ("local", "train_loss")}
    expected |= {("aggregated", metric) for metric in ("accuracy", "loss", "accuracy_train_mode")}
    assert dict.fromkeys(found.index, 4) == found.to_dict()
    assert set(found.index) == {(r, *pair) for r in (3, 5) for pair in expected}


def test_the_record_names_everything_the_result_depends_on(tmp_path: Path) -> None:
    job = federations.job("basic_common")
    record = json.loads((federations.run(tmp_path, job) / "run.json").read_text())
    assert record["cell"] == {
        "dataset": "digits", "family": "vgg", "strategy": "basic_common", "protocol": "small", "seed": 0,
    }  # fmt: skip
    assert record["settings"]["protocol"]["optimiser"]["learning_rate"] == 0.01
    assert record["digests"]["code"] == job.code()
    assert job.is_recorded_as(record["settings"])
    assert not federations.job("basic_common", rounds=3).is_recorded_as(record["settings"])
    # conv1 and its batch norm: 4 channels of 1 x 3 x 3 and bias, weight, bias, mean and variance, 4 bytes each
    assert [b["up"] for b in record["bytes_per_round"]] == [4 * (4 * 9 + 4 + 4 * 4)] * 4
    assert {"torch", "python"} <= set(record["packages"])


def test_a_loss_that_is_not_finite_stops_the_cell_and_leaves_no_result(tmp_path: Path) -> None:
    job = federations.job(optimiser=federations.protocol.Optimiser(learning_rate=1e30))
    with pytest.raises(UserError, match=r"round [12]: the training loss of client \d \(V\d\) is (nan|inf)"):
        federations.run(tmp_path, job)
    assert {path.name for path in (tmp_path / "cell").iterdir()} == {".lock", "failed.json"}


def test_what_has_come_to_no_finite_loss_is_not_trained_again_unless_something_changes(tmp_path: Path) -> None:
    """A scheduler's retry would end the same."""
    settings = {"optimiser": federations.protocol.Optimiser(learning_rate=1e30)}
    for expected in (r"round \d: the training loss of client", "came to this before, so nothing was trained"):
        with pytest.raises(UserError, match=expected):
            federations.run(tmp_path, federations.job(**settings))
    federations.run(tmp_path, federations.job())
    assert not (tmp_path / "cell/failed.json").exists()


def test_a_failing_run_keeps_its_history_up_to_then(tmp_path: Path) -> None:
    """A learning rate that is too high for the second round only: the weights grow until they are not finite."""
    job = federations.job(rounds=50, evaluate_every=1, optimiser=federations.protocol.Optimiser(learning_rate=30.0))
    kept = tmp_path / "logs/cell.failed.parquet"
    with pytest.raises(UserError, match=r"round (\d+): the training loss of client") as error:
        federations.run(tmp_path, job, failed_history=kept)
    failed_in = int(str(error.value).split(":")[0].removeprefix("round "))
    assert failed_in > 1
    assert set(pd.read_parquet(kept)["round"]) == set(range(1, failed_in))


LIMITED = """
import resource, sys
from pathlib import Path
from flexifed.settings import registry
from flexifed.system.errors import UserError
from tests.unit import federations
small, large = (
    federations.assemble(Path(sys.argv[1]), federations.job(**settings))
    for settings in ({"family": "resnet"}, {"family": "vgg", "batch_size": 32, "slices": 1})
)
engines = [registry.load("engine", sys.argv[2]).create(assembled) for assembled in (small, large)]
turns = large.server.download(large.clients[:1])
federations.trained(small, engines[0])  # so that everything is imported
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
try:
    engines[1].train(1, turns)
except UserError as error:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
    print("UserError:", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits address space as Linux does")
@pytest.mark.parametrize("engine", registry.names("engine"))
def test_a_want_of_memory_names_the_client(tmp_path: Path, engine: str) -> None:
    """A real one: the process may take one more megabyte."""
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), engine], capture_output=True, text=True, timeout=120
    )
    assert "UserError: client 0 (V1): out of memory" in found.stdout, found.stderr


def test_it_learns(tmp_path: Path) -> None:
    """Four classes that a small model tells apart; chance is 0.25."""
    optimiser = federations.protocol.Optimiser(learning_rate=0.05)
    job = federations.job(rounds=8, evaluate_every=8, slices=1, local_epochs=4, optimiser=optimiser)
    history = federations.history(federations.run(tmp_path, job))
    accuracy = history[(history.metric == "accuracy") & (history.phase == "aggregated")].value.mean()
    assert accuracy > 0.7


@pytest.mark.parametrize("family", registry.names("family"))
def test_golden_losses(tmp_path: Path, fix: bool, family: str) -> None:
    """`pytest --fix` rewrites them; a changed number is a changed result and belongs into the changelog.

    In float64, since in float32 the order of sums, which differs between processors, moves losses by percents.
    """
    assembled = federations.in_double(federations.assemble(tmp_path, federations.job(family=family, rounds=2)))
    federations.loop(assembled, serial.create(assembled)).write(tmp_path / "history.parquet")
    history = federations.history(tmp_path)
    wanted = history[history.metric.isin(["train_loss", "loss"])]
    found = wanted.groupby(["round", "phase", "metric", "version"], sort=True).value.mean().round(4).reset_index()
    path = GOLDEN / f"{family}.cpu.csv"
    if fix:
        path.parent.mkdir(exist_ok=True)
        found.to_csv(path, index=False)
    golden = pd.read_csv(path)
    pd.testing.assert_frame_equal(found.astype(golden.dtypes), golden, rtol=0, atol=2e-4)
