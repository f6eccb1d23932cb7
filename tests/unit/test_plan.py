"""Plans of hand-made federations: making, checking, storing, printing, and applying with numbers worked by hand."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from flexifed.models import build
from flexifed.settings.rng import torch_stream
from flexifed.sharing import plan, planning
from flexifed.sharing.layers import Chain, Layer, chain
from flexifed.sharing.plan import Average, Plan
from flexifed.sharing.regions import Member
from flexifed.system.errors import UserError
from flexifed.training import parts
from tests import averages

State = dict[str, Tensor]


def layer(name: str, signature: str, role: str = "base", *, normalised: bool = False) -> Layer:
    normalisation, counters = ((f"{name}.mean",), (f"{name}.count",)) if normalised else ((), ())
    return Layer(name, signature, role, (f"{name}.weight",), normalisation, counters)  # type: ignore[arg-type]


# Clients 0 and 1: a, b, classifier p, q. Client 2: a, then layers of its own, with other names for the same classifier.
DEEP: Chain = (
    layer("a", "A", normalised=True),
    layer("b", "B"),
    layer("p", "P", "classifier"),
    layer("q", "Q", "classifier"),
)
SHALLOW: Chain = (layer("first", "A", normalised=True), layer("x", "P", "classifier"), layer("y", "R", "classifier"))
CHAINS = [DEEP, DEEP, SHALLOW]
VERSIONS = ("V2", "V2", "V1")


def make(strategy: str, classifier: str = "same_architecture", chains: Sequence[Chain] = CHAINS) -> Plan:
    return planning.make("vgg", strategy, VERSIONS, chains, classifier)


def state(names: Sequence[str], values: Sequence[float], mean: float, count: int) -> State:
    """Weights of two values (v, -v) for each layer; the first layer is normalised."""
    weights = {f"{name}.weight": torch.tensor([float(v), float(-v)]) for name, v in zip(names, values, strict=True)}
    return weights | {f"{names[0]}.mean": torch.tensor([mean]), f"{names[0]}.count": torch.tensor(count)}


def states() -> list[State]:
    return [
        state("abpq", [1, 10, 100, 1000], mean=0.5, count=7),
        state("abpq", [3, 20, 300, 5000], mean=1.5, count=8),
        state(["first", "x", "y"], [8, 700, 9000], mean=4.0, count=9),
    ]


def assert_values(result: Sequence[State], expected: Sequence[Sequence[float]]) -> None:
    """Compare the weights of every client: `expected` holds v for each pair (v, -v)."""
    for new, values in zip(result, expected, strict=True):
        weights = [tensor.tolist() for key, tensor in new.items() if key.endswith("weight")]
        assert weights == [pytest.approx([v, -v]) for v in values]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("standalone", [[1, 10, 100, 1000], [3, 20, 300, 5000], [8, 700, 9000]]),
        ("clustered_fl", [[2, 15, 200, 3000], [2, 15, 200, 3000], [8, 700, 9000]]),
        ("basic_common", [[4, 10, 100, 1000], [4, 20, 300, 5000], [4, 700, 9000]]),
        ("clustered_common", [[4, 15, 200, 3000], [4, 15, 200, 3000], [4, 700, 9000]]),
        ("max_common", [[4, 15, 200, 3000], [4, 15, 200, 3000], [4, 700, 9000]]),
    ],
)
def test_means_by_hand(strategy: str, expected: list[list[float]]) -> None:
    assert_values(averages.apply(make(strategy), CHAINS, states()), expected)


def test_weighted_mean_by_hand() -> None:
    """Weights 1, 1, 2: (1 + 3 + 2 * 8) / 4 = 5; within clients 0 and 1 the plain mean."""
    result = averages.apply(make("max_common"), CHAINS, states(), weights=[1, 1, 2])
    assert_values(result, [[5, 15, 200, 3000], [5, 15, 200, 3000], [5, 700, 9000]])


def test_weights_are_relative() -> None:
    """Weights 30 and 10: (3 * 1 + 3) / 4 = 1.5, (3 * 10 + 20) / 4 = 12.5 and so on."""
    result = averages.apply(make("clustered_fl"), CHAINS, states(), weights=[30, 10, 1])
    assert_values(result[:1], [[1.5, 12.5, 150, 2000]])


def test_a_mean_needs_positive_weights() -> None:
    with pytest.raises(AssertionError, match="positive"):
        averages.apply(make("max_common"), CHAINS, states(), weights=[1, 0, 1])


@pytest.mark.parametrize(
    ("classifier", "expected"),
    [
        ("same_architecture", [[4, 15, 200, 3000], [4, 15, 200, 3000], [4, 700, 9000]]),
        ("none", [[4, 15, 100, 1000], [4, 15, 300, 5000], [4, 700, 9000]]),
        # The first classifier layers agree: (100 + 300 + 700) / 3. The second do not: clients 0 and 1 only.
        ("all", [[4, 15, 1100 / 3, 3000], [4, 15, 1100 / 3, 3000], [4, 1100 / 3, 9000]]),
    ],
)
def test_classifier(classifier: str, expected: list[list[float]]) -> None:
    assert_values(averages.apply(make("max_common", classifier), CHAINS, states()), expected)


@pytest.mark.parametrize("strategy", ["standalone", "basic_common"])
def test_a_classifier_that_no_architecture_averages_stays_personal(strategy: str) -> None:
    assert make(strategy, "all").groups == make(strategy).groups


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, [[4, 15, 200, 3000], [4, 15, 200, 3000], [8 / 2, 700, 9000]]),
        (1, [[4, 15, 200, 3000], [4, 15, 200, 3000], [4, 700, 9000]]),
        (0, [[2, 15, 200, 3000], [2, 15, 200, 3000], [8, 700, 9000]]),  # versions share nothing
    ],
)
def test_a_limit_on_common_layers_keeps_versions_apart_and_not_their_clients(
    limit: int | None, expected: list[list[float]]
) -> None:
    made = planning.make("vgg", "max_common", VERSIONS, CHAINS, "same_architecture", limit)
    assert_values(averages.apply(made, CHAINS, states()), expected)


def test_an_output_layer_is_not_a_hidden_layer_of_the_same_shape() -> None:
    """With ten hidden features and ten classes, the second layer of every version has the same signature."""
    made = planning.for_family("mlp", "max_common", versions=("V1", "V2", "V3"), options={"width": 0.05})
    assert [(group.layer, group.clients) for group in made.groups] == [("fc1", (0, 1, 2)), ("fc2", (1, 2))]


def test_unknown_classifier_setting() -> None:
    with pytest.raises(UserError, match="Did you mean 'none'"):
        make("max_common", "non")


def test_normalisation_averaged_or_local_and_counters_always_local() -> None:
    for normalisation, expected in (("averaged", [2.0, 2.0, 2.0]), ("local", [0.5, 1.5, 4.0])):
        result = averages.apply(make("max_common"), CHAINS, states(), normalisation=normalisation)
        assert [s[f"{name}.mean"].item() for s, name in zip(result, ("a", "a", "first"), strict=True)] == expected
        assert [s[f"{name}.count"].item() for s, name in zip(result, ("a", "a", "first"), strict=True)] == [7, 8, 9]
        assert_values(result[2:], [[4, 700, 9000]])


def test_inputs_are_left_alone_and_nothing_is_shared() -> None:
    given, untouched = states(), states()
    result = averages.apply(make("max_common"), CHAINS, given)
    for s, t in zip(given, untouched, strict=True):
        assert all(torch.equal(s[key], t[key]) for key in t)
    addresses = [tensor.data_ptr() for s in (*given, *result) for tensor in s.values()]
    assert len(set(addresses)) == len(addresses)


def test_order_of_clients_does_not_matter() -> None:
    expected = averages.apply(make("max_common"), CHAINS, states())
    for order in itertools.permutations(range(3)):
        chains = [CHAINS[i] for i in order]
        made = planning.make("vgg", "max_common", [VERSIONS[i] for i in order], chains, "same_architecture")
        result = averages.apply(made, chains, [states()[i] for i in order])
        for new, client in zip(result, order, strict=True):
            for key, tensor in expected[client].items():
                torch.testing.assert_close(new[key], tensor)


@pytest.mark.parametrize("weights", [None, [1, 2, 3, 4, 5, 6, 7]])
def test_applying_twice_changes_nothing(weights: list[float] | None) -> None:
    """To the last bit, also for a number of clients that no float mean divides exactly."""
    versions = ("V1", "V1", "V1", "V2", "V2", "V3", "V3")
    fleet = [
        build("vgg", version, (3, 32, 32), 4, {"width": 0.05}, torch_stream(i, "test"))
        for i, version in enumerate(versions)
    ]
    chains = [chain(model) for model in fleet]
    made = planning.make("vgg", "max_common", versions, chains, "same_architecture")
    once = averages.apply(made, chains, [model.state_dict() for model in fleet], weights)
    twice = averages.apply(made, chains, once, weights)
    assert all(torch.equal(a[key], b[key]) for a, b in zip(once, twice, strict=True) for key in a)


def test_means_of_low_precision_states_are_accumulated_in_float32() -> None:
    """1/256 is lost when it is added to 1 in bfloat16; in float32 the mean of (1, 1 + 1/128, 1) is 1.0026."""
    made, values = make("basic_common"), [1.0, 1 + 1 / 128, 1.0]
    low = [{k: torch.full_like(t, v).bfloat16() for k, t in s.items()} for s, v in zip(states(), values, strict=True)]
    mean = next(averages.averages(made, CHAINS, low))[0]["a.weight"]
    assert mean.dtype == torch.float32
    assert mean[0].item() == pytest.approx(1 + 1 / 384, abs=1e-6)
    assert averages.apply(made, CHAINS, low)[0]["a.weight"].dtype == torch.bfloat16


def test_averages_come_group_by_group_under_each_clients_own_keys() -> None:
    groups = list(averages.averages(make("max_common"), CHAINS, states()))
    assert [{client: list(means) for client, means in group.items()} for group in groups] == [
        {0: ["a.weight", "a.mean"], 1: ["a.weight", "a.mean"], 2: ["first.weight", "first.mean"]},
        {0: ["b.weight"], 1: ["b.weight"]},
        {0: ["p.weight"], 1: ["p.weight"]},
        {0: ["q.weight"], 1: ["q.weight"]},
    ]
    assert groups[0][0]["a.weight"] is groups[0][2]["first.weight"]  # one tensor for the group


def test_bytes_per_round() -> None:
    """Every weight has 2 values and the first layer's normalisation 1, of 4 bytes; counters are not sent."""
    assert parts.bytes_per_round(make("max_common"), CHAINS, states()) == [36, 36, 12]
    assert parts.bytes_per_round(make("max_common"), CHAINS, states(), "local") == [32, 32, 8]
    assert parts.bytes_per_round(make("max_common", "none"), CHAINS, states()) == [20, 20, 12]
    assert parts.bytes_per_round(make("standalone"), CHAINS, states()) == [0, 0, 0]


STORED = """\
{
  "family": "vgg",
  "strategy": "max_common",
  "classifier": "all",
  "versions": ["V2", "V2", "V1"],
  "layers": {
    "V1": ["first", "x", "y"],
    "V2": ["a", "b", "p", "q"]
  },
  "groups": [
    {"layer": "a", "depth": 1, "clients": [0, 1, 2]},
    {"layer": "b", "depth": 2, "clients": [0, 1]},
    {"layer": "p", "depth": [3, 3, 2], "clients": [0, 1, 2]},
    {"layer": "q", "depth": 4, "clients": [0, 1]}
  ]
}
"""

DESCRIBED = """\
max_common for vgg, classifier: all

V2 = VGG-13: clients 0-1
  1       a                                            averaged by clients 0-2
  2       b                                            averaged by clients 0-1
  3       p                                            averaged by clients 0-2
  4       q                                            averaged by clients 0-1

V1 = VGG-11: client 2
  1-2     first .. x                                   averaged by clients 0-2
  3       y                                            personal"""


def test_stored_plan(tmp_path: Path) -> None:
    made = make("max_common", "all")
    plan.write(made, tmp_path / "plan.json")
    assert (tmp_path / "plan.json").read_text() == STORED
    assert plan.read(tmp_path / "plan.json") == made


def test_a_plan_without_groups_can_be_stored(tmp_path: Path) -> None:
    plan.write(make("standalone"), tmp_path / "plan.json")
    assert plan.read(tmp_path / "plan.json") == make("standalone")


def test_described_plan() -> None:
    assert planning.describe(make("max_common", "all")) == DESCRIBED


BY_DEPTH = """\
elf for charcnn, by place in CharCNN-6

B1 = CharCNN-4, 0.89 of the largest's multiply-adds: clients 0-1
  1-3     conv1 .. conv3                               averaged by clients 0-2
  4       conv4                                        averaged by clients 0-2, as conv6
  5       fc1                                          averaged by clients 0-1
  6-7     fc2 .. fc3                                   averaged by clients 0-2

B2 = CharCNN-6: client 2
  1-3     conv1 .. conv3                               averaged by clients 0-2
  4-5     conv4 .. conv5                               held by client 2 alone
  6       conv6                                        averaged by clients 0-2
  7       fc1                                          held by client 2 alone
  8-9     fc2 .. fc3                                   averaged by clients 0-2"""

BY_DEPTH_WIDTH_AND_SPARSITY = """\
fedrolex for mlp, by place in MLP-5, channels: rolling on by one in every round

B1 = MLP-2 at width 0.5, 64 % of its values, 0.21 of the largest's multiply-adds: client 0
  1-2     fc1 .. output                                averaged by clients 0-1

B2 = MLP-5: client 1
  1       fc1                                          averaged by clients 0-1
  2-4     fc2 .. fc4                                   held by client 1 alone
  5       output                                       averaged by clients 0-1"""


@pytest.mark.parametrize(
    ("family", "strategy", "tiers", "member", "largest", "expected"),
    [
        ("charcnn", "elf", ("B1", "B1", "B2"), Member("V2", work=0.89), "V4", BY_DEPTH),
        ("mlp", "fedrolex", ("B1", "B2"), Member("V1", 0.5, 0.36, 0.2096), "V4", BY_DEPTH_WIDTH_AND_SPARSITY),
    ],
)
def test_a_plan_with_budgets_is_described_by_tier_and_place(
    family: str, strategy: str, tiers: Sequence[str], member: Member, largest: str, expected: str
) -> None:
    """The first fully connected layer of a shallow CharCNN reads more features, and is not the deepest's."""
    shape = (1024,) if family == "charcnn" else (1, 8, 8)
    members = {"B1": member, "B2": Member(largest)}
    made = planning.for_members(family, strategy, tiers=tiers, members=members, shape=shape, classes=10)
    assert planning.describe(made) == expected


def test_a_plan_of_prefixes_with_budgets_is_described_by_tier() -> None:
    members = {"B1": Member("V1", work=0.5), "B2": Member("V2")}
    made = planning.for_members("mlp", "max_common", tiers=("B1", "B2"), members=members, shape=(1, 8, 8), classes=10)
    header, _, first, *_ = planning.describe(made).splitlines()
    assert header == "max_common for mlp, classifier: same_architecture"
    assert first == "B1 = MLP-2, 0.5 of the largest's multiply-adds: client 0"


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (Average((1, 3), (2, 2), "b"), "unknown client 3; clients are 0-2"),
        (Average((0, 2), (4, 4), "q"), "client 2 has layers 1-3, not 4"),
        (Average((0, 2), (2, 2), "b"), "mixes B and, of client 2, P"),
        (Average((0, 1), (1, 1), "a"), "layer 1 of client 0 is in another group, too"),
        (Average((0, 0), (2, 2), "b"), "layer 2 of client 0 is in another group, too"),
        (Average((0,), (2,), "b"), "at least two clients"),
        (Average((0, 1), (2,), "b"), "one depth for each"),
    ],
)
def test_check_names_the_group_that_cannot_be(group: Average, expected: str) -> None:
    made = make("basic_common")
    wrong = dataclasses.replace(made, groups=(*made.groups, group))
    with pytest.raises(UserError, match=f"group {group.layer} of clients .*{expected}"):
        plan.check(wrong, CHAINS)


def test_check_refuses_other_clients_and_other_architectures() -> None:
    with pytest.raises(UserError, match="is for 3 clients, there are 2"):
        plan.check(make("max_common"), CHAINS[:2])
    with pytest.raises(UserError, match="layers of V2 are not those of client 0"):
        plan.check(make("max_common"), [SHALLOW, DEEP, SHALLOW])


def test_make_refuses_two_architectures_under_one_version() -> None:
    with pytest.raises(UserError, match="layers of V2 are not those of client 1"):
        make("max_common", chains=[DEEP, SHALLOW, SHALLOW])
