"""The tree of chains: small cases by hand, and what a node means on any chains."""

from hypothesis import given, settings
from hypothesis import strategies as st

from flexifed.sharing.prefix_tree import Node, build


def nodes(tree: Node) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    return [(node.depth, node.clients, node.ending) for node in tree.walk()]


def test_clients_leave_at_their_first_personal_layer() -> None:
    tree = build(["abc", "abd", "abc", "xb"])
    assert (tree.depth, tree.clients, tree.ending) == (0, (0, 1, 2, 3), ())
    assert nodes(tree) == [
        (1, (0, 1, 2), ()),  # a
        (2, (0, 1, 2), ()),  # ab
        (3, (0, 2), (0, 2)),  # abc
        (3, (1,), (1,)),  # abd
        (1, (3,), ()),  # x
        (2, (3,), (3,)),  # xb
    ]


def test_a_chain_that_is_a_prefix_of_another_ends_inside() -> None:
    assert nodes(build(["a", "ab"])) == [(1, (0, 1), (0,)), (2, (1,), (1,))]


def test_equal_layers_after_a_difference_are_not_common() -> None:
    assert nodes(build(["xa", "ya"])) == [(1, (0,), ()), (2, (0,), (0,)), (1, (1,), ()), (2, (1,), (1,))]


def test_no_clients() -> None:
    assert nodes(build([])) == []


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text("ab", max_size=6), max_size=8))
def test_a_node_holds_exactly_the_clients_with_its_prefix(chains: list[str]) -> None:
    found = nodes(build(chains))
    prefixes = {chain[:depth] for chain in chains for depth in range(1, len(chain) + 1)}
    assert len(found) == len(prefixes)
    for depth, clients, ending in found:
        prefix = chains[clients[0]][:depth]
        assert clients == tuple(i for i, chain in enumerate(chains) if chain[:depth] == prefix)
        assert ending == tuple(i for i, chain in enumerate(chains) if chain == prefix)
