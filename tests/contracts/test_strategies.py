"""What the strategies average, against two independent readings of the paper and against golden files.

The readings: the authors' code compares clients in pairs and counts their common prefix; 2006wzt splits the clients
recursively at the first layer in which they differ. Both are written out here without a tree.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flexifed import models
from flexifed.settings import registry
from flexifed.settings.rng import torch_stream
from flexifed.sharing import planning
from flexifed.sharing.layers import Chain, Layer, chain
from flexifed.sharing.plan import Plan
from tests import averages

STRATEGIES = [
    name
    for name in registry.names("strategy")
    if not any(registry.constant("strategy", name, other, False) for other in ("ONE_VERSION", "BY_PLACE"))
]
"""Those that group layers by what comes before them; for those that go by place see `tests/unit/test_submodels.py`."""
FAMILIES = [name for name in registry.names("family") if len(registry.constant("family", name, "VERSIONS")) == 4]
VERSIONS = ("V1", "V1", "V2", "V2", "V3", "V3", "V4", "V4")
GOLDEN = Path(__file__).parents[1] / "golden" / "plans"

Signatures = Sequence[Sequence[str]]
Groups = set[tuple[int, frozenset[int]]]
"""(depth, clients) of every group of two or more clients."""


def common_prefix(a: Sequence[str], b: Sequence[str]) -> int:
    length = 0
    while length < min(len(a), len(b)) and a[length] == b[length]:
        length += 1
    return length


def pairwise_standalone(chains: Signatures) -> Groups:
    return set()


def pairwise_basic(chains: Signatures) -> Groups:
    common = min(common_prefix(a, b) for a in chains for b in chains)
    return shared((k, range(len(chains))) for k in range(1, common + 1))


def pairwise_clustered_fl(chains: Signatures) -> Groups:
    return shared((k, alike(chains, own)) for own in chains for k in range(1, len(own) + 1))


def pairwise_clustered_common(chains: Signatures) -> Groups:
    common = min(common_prefix(a, b) for a in chains for b in chains)
    return pairwise_basic(chains) | {g for g in pairwise_clustered_fl(chains) if g[0] > common}


def pairwise_max(chains: Signatures) -> Groups:
    return shared(
        (k, [i for i, other in enumerate(chains) if common_prefix(own, other) >= k])
        for own in chains
        for k in range(1, len(own) + 1)
    )


def alike(chains: Signatures, own: Sequence[str]) -> list[int]:
    return [i for i, other in enumerate(chains) if list(other) == list(own)]


def shared(groups: Iterator[tuple[int, Sequence[int]]]) -> Groups:
    return {(depth, frozenset(clients)) for depth, clients in groups if len(clients) > 1}


def recursive_max(chains: Signatures) -> Groups:
    return shared(iter(split(chains, list(range(len(chains))), 0)))


def split(chains: Signatures, clients: list[int], start: int) -> Iterator[tuple[int, list[int]]]:
    """Average up to the first layer in which the clients differ, group them by that layer, go on with each group."""
    depth = start
    while True:
        differing = {chains[c][depth] if depth < len(chains[c]) else None for c in clients}
        if len(differing) > 1 or differing == {None}:
            break
        depth += 1
        yield depth, clients
    for signature in differing - {None}:
        yield from split(
            chains, [c for c in clients if depth < len(chains[c]) and chains[c][depth] == signature], depth
        )


ORACLES: dict[str, list[Callable[[Signatures], Groups]]] = {
    "standalone": [pairwise_standalone],
    "clustered_fl": [pairwise_clustered_fl],
    "basic_common": [pairwise_basic],
    "clustered_common": [pairwise_clustered_common],
    "max_common": [pairwise_max, recursive_max],
}


def fake_chain(signatures: Sequence[str]) -> Chain:
    return tuple(Layer(f"layer{k}", s, "base", (f"{k}",), (), ()) for k, s in enumerate(signatures))


def make(strategy: str, signatures: Signatures) -> Plan:
    versions = ["".join(s) for s in signatures]
    return planning.make("none", strategy, versions, [fake_chain(s) for s in signatures], "same_architecture")


def groups(made: Plan) -> Groups:
    assert all(len(set(group.depths)) == 1 for group in made.groups)
    found = {(group.depths[0], frozenset(group.clients)) for group in made.groups}
    assert len(found) == len(made.groups)
    return found


def averaged(made: Plan) -> set[tuple[int, int]]:
    """(client, depth) of everything that is averaged."""
    return {place for group in made.groups for place in zip(group.clients, group.depths, strict=True)}


def family_chains(family: str) -> list[Chain]:
    shape = planning.SHAPES[registry.constant("family", family, "KIND")]
    return [chain(models.build_meta(family, version, shape, 10, {})) for version in VERSIONS]


federations = st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=7)
examples = settings(deadline=None, derandomize=True, max_examples=200)


def test_every_strategy_is_held_against_an_independent_reading() -> None:
    assert sorted(ORACLES) == sorted(STRATEGIES), (
        "write a reading of the rule, without the tree, and enter it in ORACLES"
    )


@pytest.mark.parametrize("strategy", ORACLES)
@examples
@given(federations)
def test_groups_of_any_federation(strategy: str, chains: list[str]) -> None:
    for oracle in ORACLES[strategy]:
        assert groups(make(strategy, chains)) == oracle(chains)


@pytest.mark.parametrize("strategy", ORACLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_groups_of_the_families(family: str, strategy: str) -> None:
    signatures = [[layer.signature for layer in layers] for layers in family_chains(family)]
    made = planning.for_family(family, strategy, versions=VERSIONS)
    for oracle in ORACLES[strategy]:
        assert groups(made) == oracle(signatures)


@examples
@given(federations)
def test_inclusions(chains: list[str]) -> None:
    found = {strategy: averaged(make(strategy, chains)) for strategy in STRATEGIES}
    assert found["standalone"] == set()
    assert found["basic_common"] <= found["clustered_common"] <= found["max_common"]
    assert found["clustered_fl"] <= found["clustered_common"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@examples
@given(federations, st.randoms(use_true_random=False))
def test_numbering_of_clients_does_not_matter(strategy: str, chains: list[str], random: object) -> None:
    order = list(range(len(chains)))
    random.shuffle(order)  # type: ignore[attr-defined]
    renumbered = groups(make(strategy, [chains[i] for i in order]))
    assert {(depth, frozenset(order[i] for i in clients)) for depth, clients in renumbered} == groups(
        make(strategy, chains)
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_needs_no_torch(strategy: str) -> None:
    code = f"import sys, flexifed.strategies.{strategy}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_single_client_averages_nothing(strategy: str) -> None:
    assert make(strategy, ["abc"]).groups == ()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_clients_of_one_architecture_average_everything_or_nothing(strategy: str) -> None:
    """Among homogeneous clients every federated strategy is FedAvg."""
    everything = {(k, frozenset({0, 1, 2})) for k in (1, 2, 3)}
    assert groups(make(strategy, ["abc"] * 3)) == (set() if strategy == "standalone" else everything)


@pytest.mark.parametrize("family", ["resnet", "vdcnn", "vgg"])
def test_means_are_those_of_the_rule_on_state_entries(family: str) -> None:
    """The rule as 2006wzt's code has it: client i's k-th entry becomes the mean over all clients whose first k entries
    have the names and shapes of i's. (CharCNN is left out: by this rule CharCNN-3 would share the weight of its third
    convolution, which has no batch norm, with the deeper versions.)
    """
    shape = (3, 32, 32) if registry.constant("family", family, "KIND") == "image" else (1024,)
    fleet = [
        models.build(family, version, shape, 4, {"width": 0.05}, torch_stream(i, "test"))
        for i, version in enumerate(VERSIONS)
    ]
    states, chains = [model.state_dict() for model in fleet], [chain(model) for model in fleet]
    result = averages.apply(planning.make(family, "max_common", VERSIONS, chains, "same_architecture"), chains, states)
    entries = [[(key, tensor.shape) for key, tensor in state.items()] for state in states]
    for client, new in enumerate(result):
        for k, (key, _) in enumerate(entries[client], 1):
            if states[client][key].is_floating_point():
                holders = [
                    state for state, other in zip(states, entries, strict=True) if other[:k] == entries[client][:k]
                ]
                torch.testing.assert_close(new[key], torch.stack([state[key] for state in holders]).mean(0))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_golden_plan(family: str, strategy: str, fix: bool) -> None:
    """The plan of eight clients as `python -m flexifed plan` prints it; rewritten by `pytest --fix`."""
    golden = GOLDEN / f"{family}.{strategy}.txt"
    text = planning.describe(planning.for_family(family, strategy, versions=VERSIONS)) + "\n"
    if fix:
        golden.write_text(text)
    assert golden.exists(), f"run: pytest {Path(__file__).relative_to(Path.cwd())} --fix"
    assert text == golden.read_text()
