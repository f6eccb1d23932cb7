"""The server: what it folds, what it keeps, what a participant gets, against definitions written out."""

from pathlib import Path
from typing import Any

import pytest
import torch

from flexifed.training.client import Turn
from flexifed.training.engine import Federation
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
    for seed, cohort in enumerate(([0, 1], [0, 2], [2, 3], [1, 3])):
        turns = filled(assembled, cohort, seed)
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
