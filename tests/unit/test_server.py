"""The server: what it folds, what it keeps, what a participant gets, against definitions written out."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from flexifed.selection.selector import Known
from flexifed.selection.uniform import Uniform
from flexifed.settings import registry
from flexifed.settings.protocol import Protocol
from flexifed.sharing import planning
from flexifed.system.errors import UserError
from flexifed.training.adaptive import Adagrad, Adam, Adaptive, Yogi
from flexifed.training.client import Turn
from flexifed.training.engine import Federation
from flexifed.training.fairness import TINY, QFair
from flexifed.training.rules import Momentum, SumOfDifferences, Uploads
from tests import averages
from tests.unit import federations

SHARING = ["standalone", "clustered_fl", "basic_common", "clustered_common", "max_common"]


def filled(assembled: Federation, cohort: list[int], seed: int = 0) -> list[Turn]:
    """Turns of these clients that came to random numbers."""
    generator = torch.Generator().manual_seed(seed)
    turns = assembled.server.download([assembled.clients[i] for i in cohort])
    for turn in turns:
        for tensor in turn.weights.state().values():
            if tensor.is_floating_point():
                tensor.normal_(generator=generator)
    return turns


@pytest.mark.parametrize("strategy", SHARING)
@pytest.mark.parametrize("overrides", [{"averaging": "samples"}, {"normalisation": "local"}, {}])
def test_with_everybody_present_it_is_the_plan_to_the_bit(
    tmp_path: Path, strategy: str, overrides: dict[str, Any]
) -> None:
    assembled = federations.assemble(tmp_path, federations.job(strategy, clients=8, **overrides))
    turns = filled(assembled, list(range(8)))
    states = [{key: tensor.clone() for key, tensor in turn.weights.state().items()} for turn in turns]
    weights = [len(c.train) for c in assembled.clients] if "averaging" in overrides else None
    chains = [client.chain for client in assembled.clients]
    normalisation = overrides.get("normalisation", "averaged")
    expected = averages.apply(assembled.plan, chains, states, weights, normalisation)
    for turn in turns:  # one by one, as they come
        assembled.server.upload([turn])
    assembled.server.step()
    for numbers, state in zip(federations.numbers(assembled), expected, strict=True):
        assert all(torch.equal(tensor, state[key]) for key, tensor in numbers.state().items())


def test_the_mean_is_over_the_participants_of_the_group(tmp_path: Path) -> None:
    """Max-Common, clients 0 to 3 of V1 to V4; conv1 is common to all, conv2 to V2 and deeper."""
    assembled = federations.assemble(tmp_path, federations.job("max_common"))
    before = [n.state() for n in federations.numbers(assembled)]
    turns = filled(assembled, [0, 2])
    one, three = ({k: v.clone() for k, v in turn.weights.state().items()} for turn in turns)
    assembled.server.upload(turns)
    assembled.server.step()
    now = [n.state() for n in federations.numbers(assembled)]
    mean = torch.lerp(one["conv1.weight"], three["conv1.weight"], 0.5)
    assert all(torch.equal(state["conv1.weight"], mean) for state in now), "absent clients get it, too"
    assert all(torch.equal(now[c]["conv2.weight"], three["conv2.weight"]) for c in (1, 2, 3))
    last = "fc3.weight"
    assert torch.equal(now[0][last], one[last]) and torch.equal(now[2][last], three[last]), "personal layers are kept"
    assert torch.equal(now[1][last], before[1][last]) and torch.equal(now[3][last], before[3][last]), "and wait"


def test_personal_layers_wait_for_a_client_that_is_absent(tmp_path: Path) -> None:
    assembled = federations.assemble(tmp_path, federations.job("basic_common"))
    for seed, present in enumerate(([0, 1], [0, 2], [2, 3], [1, 3])):
        turns = filled(assembled, present, seed)
        if seed == 0:
            kept = turns[1].weights.state()["conv2.weight"].clone()
        last = {turn.client.id: turn.weights.state()["conv1.weight"].clone() for turn in turns}
        if seed < 3:
            assembled.server.upload(turns)
            assembled.server.step()
            shared = torch.lerp(*last.values(), 0.5)
    (turn,) = assembled.server.download([assembled.clients[1]])
    assert torch.equal(turn.weights.state()["conv2.weight"], kept)
    assert torch.equal(turn.weights.state()["conv1.weight"], shared), "shared ones are of the day it returns"
    assert turn.number == 2


def test_memory_is_that_of_one_model_however_many_clients(tmp_path: Path) -> None:
    """Numbers held between rounds and during one, of FedAvg on 4 and on 32 clients with two participants."""
    held = []
    for clients in (4, 32):
        job = federations.job("fedavg", clients=clients, versions=("V1",), participants=2, test_set="whole")
        server = federations.assemble(tmp_path / str(clients), job).server
        for client in server.clients:
            server.upload(server.download([client]))
        server.step()
        shared = sum(
            h.value.numel() + (h.mean.numel() if h.mean is not None else 0) for h in server.held if h.value is not None
        )
        held.append((shared, sum(t.numel() for t in server.personal.values()), len(server.slots)))
    assert held[0] == held[1]
    assert held[0][1:] == (0, 1)


WHOLE = ["fedavg", "fedprox", "server_rate", "fedavgm", "fedadagrad", "fedadam", "fedyogi", "q_fedavg"]


@pytest.mark.parametrize("strategy", WHOLE)
def test_a_strategy_that_averages_whole_models_refuses_mixed_ones(strategy: str) -> None:
    assert registry.constant("strategy", strategy, "ONE_VERSION") is True
    with pytest.raises(UserError, match=f"'{strategy}' averages whole models, and clients that hold V1, V2 have diff"):
        planning.for_family("vgg", strategy, versions=("V1", "V2"), options={"width": 0.0625})
    made = planning.for_family("mlp", strategy, versions=("V1",) * 3, options={"width": 0.0625})
    assert [group.clients for group in made.groups] == [(0, 1, 2)] * 2, "a hidden layer, and the output layer"


def ended(folder: Path, strategy: str, engine: str = "serial", *, double: bool = False, **settings: Any) -> Tensor:
    """The server's model after three rounds of three of eight clients."""
    options = settings.pop("options", {})
    keys = {"clients": 8, "versions": ("V2",), "participants": 3, "test_set": "whole", "rounds": 3}
    job = federations.job(strategy, family="resnet", **{**keys, **settings})
    job = dataclasses.replace(job, strategy_options=options)
    assembled = federations.assemble(folder, job)
    assembled = federations.in_double(assembled) if double else assembled
    federations.loop(assembled, registry.load("engine", engine).create(assembled))
    return federations.numbers(assembled)[0].values


def test_a_server_rate_of_one_by_the_cohort_is_fedavg_to_the_bit(tmp_path: Path) -> None:
    fedavg, rated, half = (
        ended(tmp_path, name, options=options)
        for name, options in (("fedavg", {}), ("server_rate", {"rate": 1 / 3}), ("server_rate", {"rate": 1 / 6}))
    )
    assert torch.equal(fedavg, rated)
    assert not torch.equal(fedavg, half)


@pytest.mark.parametrize(
    ("strategy", "options"),
    [("fedprox", {"mu": 0.0}), ("fedavgm", {"momentum": 0.0}), ("server_rate", {"rate": 1 / 3})],
)
def test_what_fedavg_is_a_case_of(tmp_path: Path, strategy: str, options: dict[str, float]) -> None:
    fedavg, other = (
        ended(tmp_path, name, double=True, options=given) for name, given in (("fedavg", {}), (strategy, options))
    )
    torch.testing.assert_close(fedavg, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ["fast", "stacked"])
@pytest.mark.parametrize("strategy", WHOLE)
def test_engines_agree_on_cohorts_servers_and_objectives(tmp_path: Path, strategy: str, engine: str) -> None:
    options = {"mu": 1.0} if strategy == "fedprox" else {}
    serial, other, plain = (
        ended(tmp_path, name, by, double=True, options=given)
        for name, by, given in ((strategy, "serial", options), (strategy, engine, options), ("fedavg", "serial", {}))
    )
    torch.testing.assert_close(serial, other, rtol=0, atol=1e-7)
    assert strategy == "fedavg" or not torch.allclose(serial, plain, rtol=0, atol=1e-6)


def test_rules_against_their_equations() -> None:
    """Two rounds with numbers worked by hand, from w = 1: means 3 and 2."""
    values = []
    for rule in (SumOfDifferences(0.25), Momentum(0.5, 1.0), Momentum(0.5, 0.1)):
        now, state = torch.ones(1), {name: torch.zeros(1) for name in rule.STATE}
        for mean in (3.0, 2.0):
            following = torch.full((1,), mean)
            rule.step(now, following, state, Uploads(2, 2.0, 0.0, 1))
            now = following
        values.append(float(now))
    # Half of the way to 3, then to 2. v = -2, w = 3; v = -1 + 1 = 0, w = 3. v = -2, w = 1.2; v = -1 - 0.8, w = 1.38.
    assert values == pytest.approx([2.0, 3.0, 1.38])


@pytest.mark.parametrize(
    ("rule", "second"),
    [
        # From w = 1 to the means 3 and 2; rate 1, beta1 = beta2 = 1/2, tau = 1, v from 1. First Delta = 2 and m = 1.
        (Adagrad, 5.0),  # v = 1 + 4
        (Adam, 2.5),  # v = (1 + 4) / 2
        (Yogi, 3.0),  # v = 1 - 4 / 2 * sign(1 - 4)
    ],
)
def test_adaptive_rules_against_the_papers_equations(rule: type[Adaptive], second: float) -> None:
    """Two rounds, the second with the equations written out in scalars."""
    kept = {name: torch.zeros(1) for name in rule.STATE}
    decay = {} if rule is Adagrad else {"beta2": 0.5}
    made, now = rule(rate=1.0, beta1=0.5, tau=1.0, start=1.0, **decay), torch.ones(1)
    made.step(now, (following := torch.full((1,), 3.0)), kept, Uploads(2, 2.0, 0.0, 1))
    assert float(kept["first_moment"]) == 1.0 and float(kept["second_moment"]) + 1.0 == second
    assert float(following) == pytest.approx(1 + 1 / (math.sqrt(second) + 1))
    w, delta = float(following), 2 - float(following)
    first = 0.5 * 1.0 + 0.5 * delta
    second = {
        Adagrad: second + delta**2,
        Adam: 0.5 * second + 0.5 * delta**2,
        Yogi: second - 0.5 * delta**2 * math.copysign(1, second - delta**2),
    }[rule]
    made.step(following.clone(), (last := torch.full((1,), 2.0)), kept, Uploads(2, 2.0, 0.0, 2))
    assert float(last) == pytest.approx(w + first / (math.sqrt(second) + 1))


def test_a_corrected_bias_makes_the_first_step_that_of_the_newest_numbers() -> None:
    """As in Kingma and Ba 2015: m / (1 - beta1) and v / (1 - beta2) are Delta and its square, whatever the betas."""
    for rule in (Adam, Yogi):
        made = rule(rate=0.5, beta1=0.9, tau=1e-12, start=0.0, beta2=0.99, bias_corrected=True)
        kept = {name: torch.zeros(1) for name in rule.STATE}
        made.step(torch.ones(1), (following := torch.full((1,), 3.0)), kept, Uploads(2, 2.0, 0.0, 1))
        assert float(following) == pytest.approx(1.5)


def test_q_fedavg_against_the_papers_equations() -> None:
    """One value, two participants, from w = 1: uploads 3 and 2, losses 2 and 1, L = 10, q = 2."""
    rule, q, lipschitz = QFair(2.0, 10.0), 2.0, 10.0
    steps, curvatures, mean, total = 0.0, 0.0, 0.0, 0.0
    for upload, loss in ((3.0, 2.0), (2.0, 1.0)):
        gradient = lipschitz * (1 - upload)
        steps += (loss + TINY) ** q * gradient
        curvatures += q * (loss + TINY) ** (q - 1) * gradient**2 + lipschitz * (loss + TINY) ** q
        mean, total = mean + rule.weight(loss) * upload, total + rule.weight(loss)
    found = sum(rule.curvature(loss, (1 - upload) ** 2) for upload, loss in ((3.0, 2.0), (2.0, 1.0)))
    assert found == pytest.approx(curvatures)
    following = torch.full((1,), mean / total, dtype=torch.float64)
    rule.step(torch.ones(1, dtype=torch.float64), following, {}, Uploads(2, total, found, 1))
    assert float(following) == pytest.approx(1 - steps / curvatures)


def test_q_fedavg_without_q_is_fedavg_to_the_bit_and_q_moves_it(tmp_path: Path) -> None:
    fedavg, without, fair, otherwise = (
        ended(tmp_path, name, options=options)
        for name, options in (
            ("fedavg", {}),
            ("q_fedavg", {"q": 0.0}),
            ("q_fedavg", {"q": 1.0}),
            ("q_fedavg", {"q": 1.0, "loss": "training"}),
        )
    )
    assert torch.equal(fedavg, without)
    assert not torch.equal(fedavg, fair) and not torch.equal(fair, otherwise)


def test_statistics_of_normalisations_are_averaged_plainly_unless_a_rule_steps_them(tmp_path: Path) -> None:
    found = {}
    for strategy, options in (("fedavg", {}), ("fedavgm", {"learning_rate": 0.1}), ("server_rate", {"rate": 0.1})):
        job = federations.job(strategy, clients=2, versions=("V1",))
        assembled = federations.assemble(tmp_path, dataclasses.replace(job, strategy_options=options))
        assembled.server.upload(filled(assembled, [0, 1]))
        assembled.server.step()
        found[strategy] = federations.numbers(assembled)[0].state()
    mean, weight = "norm1.running_mean", "norm1.weight"
    assert torch.equal(found["fedavg"][mean], found["fedavgm"][mean])
    assert not torch.equal(found["fedavg"][weight], found["fedavgm"][weight])
    assert not torch.equal(found["fedavg"][mean], found["server_rate"][mean]), "as the book's code has it"


def test_cohorts_are_drawn_anew_without_replacement_and_are_those_of_the_seed() -> None:
    def cohorts(seed: int, rounds: int) -> list[list[int]]:
        ones = np.ones(100, np.int64)
        selector = Uniform(Known(ones, ones, ones.astype(float), seed))
        return [selector.choose(r, np.arange(100), 10, lambda _: []) for r in range(1, rounds + 1)]

    drawn = cohorts(0, 200)
    assert all(len(set(ids)) == 10 and ids == sorted(ids) for ids in drawn)
    assert drawn == cohorts(0, 200)
    assert drawn[0] != drawn[1] and drawn[0] != cohorts(1, 1)[0]
    times = np.bincount(np.concatenate(drawn), minlength=100)
    assert abs(times.mean() - 20) < 1e-9 and times.min() > 5 and times.max() < 40


@pytest.mark.parametrize(
    ("participants", "expected"), [(None, 50), (7, 7), (0.1, 5), (0.29, 14), (0.001, 1), (1.0, 50), (1, 1)]
)
def test_sizes_of_cohorts(participants: Any, expected: int) -> None:
    assert Protocol(clients=50, participants=participants).cohort_size() == expected


def test_histories_hold_participants_and_one_test_of_what_is_equal(tmp_path: Path) -> None:
    job = federations.job(
        "fedavg", clients=8, versions=("V1",), participants=3, test_set="whole", tests=("aggregated",)
    )
    history = federations.history(federations.run(tmp_path, job))
    accuracy = history[(history.phase == "aggregated") & (history.metric == "accuracy")]
    assert accuracy.groupby("round").client.nunique().tolist() == [3, 3]
    assert accuracy.groupby("round").value.nunique().tolist() == [1, 1]
    assert set(history.metric) == {"train_loss", "accuracy", "loss"}


@pytest.mark.parametrize("engine", registry.names("engine"))
@pytest.mark.parametrize("strategy", ["fedavgm", "fedprox", "max_common"])
def test_a_federation_with_absent_clients_goes_on_with_the_same_bytes(
    tmp_path: Path, strategy: str, engine: str
) -> None:
    versions = ("V1", "V2") if strategy == "max_common" else ("V2",)
    kept = federations.protocol.Optimiser(state="kept")
    job = federations.job(strategy, clients=8, versions=versions, participants=3, rounds=5, optimiser=kept)
    job = dataclasses.replace(job, engine=engine)
    whole = federations.run(tmp_path, job, "whole")
    federations.stopped(tmp_path, job, 3)
    resumed = federations.run(tmp_path, job)
    assert (resumed / "history.parquet").read_bytes() == (whole / "history.parquet").read_bytes()
    assert len(json.loads((resumed / "run.json").read_text())["sessions"]) == 2


def test_a_round_that_tests_nothing_downloads_every_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assembled = federations.assemble(tmp_path, federations.job(rounds=3, evaluate_every=3))
    downloaded, download = [], assembled.server.download

    def counted(crew: Any, **how: Any) -> Any:
        downloaded.extend(client.id for client in crew)
        return download(crew, **how)

    monkeypatch.setattr(assembled.server, "download", counted)
    federations.loop(assembled, registry.load("engine", "serial").create(assembled))
    assert downloaded == [0, 1, 2, 3] * 4, "twice in the third round, which is tested after the server's step"
