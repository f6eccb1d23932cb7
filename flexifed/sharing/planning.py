"""Making plans: a strategy decides from architectures alone, before any training. And printing them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from types import MappingProxyType
from typing import Any

from torch import nn

from flexifed import models
from flexifed.settings import checks, registry
from flexifed.sharing import prefix_tree
from flexifed.sharing.layers import Chain, chain
from flexifed.sharing.places import in_largest
from flexifed.sharing.plan import Average, Plan, check, first_layer, layer_names, ranges
from flexifed.sharing.regions import Member, Region
from flexifed.sharing.titles import member_title, version_title
from flexifed.system.errors import UserError

SHAPES = {"image": (3, 32, 32), "text": (1024,), "vector": (60,), "click": (10, 3, 3)}
"""Sample shape by kind that plans are made with. It has no influence on the groups, nor has the number of classes."""
CLASSES = {"image": 10, "text": 10, "vector": 10, "click": 2}

CLASSIFIER = ("same_architecture", "none", "all")


def for_family(
    family: str,
    strategy: str,
    *,
    versions: Sequence[str],
    classifier: str = "same_architecture",
    common_layers: int | None = None,
    options: Mapping[str, Any] | None = None,
    strategy_options: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of a federation whose client i holds `versions[i]` of a family; takes milliseconds, no weights needed.

    Args:
        family: registered name.
        strategy: registered name.
        versions: one per client.
        classifier: see `make`.
        common_layers: see `make`.
        options: the family's options.
        strategy_options: those of the strategy.

    Raises:
        UserError: a name or an option is not known, or the strategy takes one version only.
    """
    if registry.constant("strategy", strategy, "BY_PLACE", False):
        raise UserError(
            f"{strategy!r} cuts members of a family to what clients can afford: run it with protocols that have "
            "`budgets`."
        )
    kind = registry.load("family", family).KIND
    shape, classes = SHAPES[kind], CLASSES[kind]
    built = {v: chain(models.build_meta(family, v, shape, classes, options or {})) for v in sorted(set(versions))}
    chains = [built[version] for version in versions]
    return make(family, strategy, versions, chains, classifier, common_layers, strategy_options or {})


def for_members(
    family: str,
    strategy: str,
    *,
    tiers: Sequence[str],
    members: Mapping[str, Member],
    shape: tuple[int, ...],
    classes: int,
    classifier: str = "same_architecture",
    common_layers: int | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    strategy_options: Mapping[str, Any] = MappingProxyType({}),
) -> Plan:
    """The plan of a federation whose clients hold what they can afford of a family.

    Args:
        family: registered name.
        strategy: registered name.
        tiers: one per client.
        members: what the clients of each tier hold.
        shape: of a sample.
        classes: how many there are.
        classifier: see `make`; strategies that go by place average it as any other layer.
        common_layers: see `make`; strategies that go by place know no such limit.
        options: the family's options.
        strategy_options: those of the strategy.

    Raises:
        UserError: a name or an option is not known, or the strategy cannot go by the places of this family.
    """
    chains = {t: chain(build_member(family, m, shape, classes, options)) for t, m in members.items()}
    held = {tier: members[tier] for tier in dict.fromkeys(tiers)}
    if not registry.constant("strategy", strategy, "BY_PLACE", False):
        of_clients = [chains[tier] for tier in tiers]
        made = make(family, strategy, tiers, of_clients, classifier, common_layers, strategy_options)
        return replace(made, members=held)
    largest = registry.constant("family", family, "VERSIONS")[-1]
    whole = {
        version: chain(models.build_meta(family, version, shape, classes, options))
        for version in dict.fromkeys([*(member.version for member in held.values()), largest])
    }
    grouping = _options_of_groups(strategy, strategy_options)
    holders = _holders(family, tiers, held, whole, largest)
    clients = {place: tuple(client for client, _ in some) for place, some in holders.items()}
    regions = list(registry.load("strategy", strategy).groups(clients, **grouping))
    names = {layer.name for layer in whole[largest]}
    groups = [group for region in regions if (group := _average(region, holders, names, tiers, held, chains))]
    plan = Plan(
        family=family,
        strategy=strategy,
        classifier=classifier,
        versions=tuple(tiers),
        layers={tier: layer_names(chains[tier]) for tier in held} | {largest: layer_names(whole[largest])},
        groups=tuple(sorted(groups, key=lambda g: (g.depths[0], g.clients))),
        members=held,
        largest=largest,
        scaled=any(region.scaled for region in regions),
    )
    check(plan, [chains[tier] for tier in tiers])
    return plan


def build_member(
    family: str, member: Member, shape: tuple[int, ...], classes: int, options: Mapping[str, Any]
) -> nn.Module:
    """A member of a family with shapes and no values, on the meta device; see `models.build_meta`."""
    return models.build_meta(family, member.version, shape, classes, member_options(family, member, options))


def member_options(family: str, member: Member, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a member is built with: the family's own, and its width.

    Raises:
        UserError: it is narrower, and the family has no such option.
    """
    if member.width == 1:
        return dict(options)
    known = registry.keywords("family", family)
    if "width" not in known:
        raise UserError(f"family {family!r} has no option `width`, so that no member of it is narrower.")
    return {**options, "width": options.get("width", known["width"]) * member.width}


def _options_of_groups(strategy: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in registry.keywords("strategy", strategy, "groups") if key in options}


Holders = Mapping[str, Sequence[tuple[int, int]]]
"""By place, the clients that have a layer there, and its depth in their chains, 1 for the first layer."""


def _holders(
    family: str, tiers: Sequence[str], members: Mapping[str, Member], whole: Mapping[str, Chain], largest: str
) -> Holders:
    """Where each client's layers lie in the largest version, in the order of its chain.

    A layer is there what it is in the largest version if it is so at full width; another one, such as a fully connected
    layer that reads more features in a shallower version, has a place of its own, which only its equals share: clients
    with that layer at that width.
    """
    signatures = {layer.name: layer.signature for layer in whole[largest]}
    found: dict[str, list[tuple[int, int]]] = {layer.name: [] for layer in whole[largest]}
    of_tier = {}
    for tier, member in members.items():
        layers = whole[member.version]
        names = layer_names(layers)
        lie = in_largest(family, member.version, names, layer_names(whole[largest]))
        of_tier[tier] = [
            place if layer.signature == signatures[place] else f"{place} {layer.signature} x {member.width:g}"
            for place, layer in zip(lie, layers, strict=True)
        ]
    for client, tier in enumerate(tiers):
        for depth, place in enumerate(of_tier[tier], 1):
            found.setdefault(place, []).append((client, depth))
    return {place: some for place, some in found.items() if some}


def _average(
    region: Region,
    holders: Holders,
    names: set[str],
    tiers: Sequence[str],
    members: Mapping[str, Member],
    chains: Mapping[str, Chain],
) -> Average | None:
    """A region as a group of a plan; None where its only client shares it with nobody.

    Where all clients have the whole layer there is nothing to cut from it, and it is averaged as by any other strategy.
    """
    depths = dict(holders[region.place])
    clients, first = region.clients, region.clients[0]
    of_clients = tuple(depths[client] for client in clients)
    whole = all(members[tiers[client]].is_whole for client in clients)
    if region.place in names and not (whole and len(clients) == len(tiers)):
        return Average(clients, of_clients, region.place, region.window)
    same = Average(clients, of_clients, chains[tiers[first]][depths[first] - 1].name)
    return same if len(clients) > 1 else None


def make(
    family: str,
    strategy: str,
    versions: Sequence[str],
    chains: Sequence[Chain],
    classifier: str,
    common_layers: int | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Plan:
    """Ask a strategy who averages what, and settle the classifier layers.

    Args:
        family: registered name, recorded only.
        strategy: registered name.
        versions: one per client; clients of one version have equal chains.
        chains: one per client.
        classifier: its layers (`Layer.role`) are averaged as the strategy says, which is within one architecture
            ("same_architecture"); not at all ("none"); or, those that the strategy averages within an architecture,
            across architectures too, matched by place in the classifier and signature ("all"; paper, Table 3).
        common_layers: as many layers, counted from the input, can be common to clients of different versions; None
            for all that are.
        options: of the strategy; those that its `groups` takes matter here.

    Raises:
        UserError: a name is not known, or the strategy takes one version only.
    """
    if classifier not in CLASSIFIER:
        raise registry.unknown("value of classifier", classifier, CLASSIFIER)
    if registry.constant("strategy", strategy, "ONE_VERSION", False) and len(set(chains)) > 1:
        raise UserError(checks.one_version(strategy, sorted(set(versions))))
    grouping = _options_of_groups(strategy, options)
    tree = prefix_tree.build(
        [_comparable(version, layers, common_layers) for version, layers in zip(versions, chains, strict=True)]
    )
    groups = [
        Average(group.clients, (group.depth,) * len(group.clients), chains[group.clients[0]][group.depth - 1].name)
        for group in registry.load("strategy", strategy).groups(tree, **grouping)
    ]
    if classifier != "same_architecture":
        across = _across_versions(groups, chains) if classifier == "all" else []
        groups = [group for group in groups if first_layer(group, chains).role == "base"] + across
    plan = Plan(
        family=family,
        strategy=strategy,
        classifier=classifier,
        versions=tuple(versions),
        layers={version: layer_names(chains[versions.index(version)]) for version in sorted(set(versions))},
        groups=tuple(sorted((g for g in groups if len(g.clients) > 1), key=lambda g: (g.depths[0], g.clients))),
    )
    check(plan, chains)
    return plan


def _comparable(version: str, layers: Chain, common_layers: int | None) -> list[tuple[str, ...]]:
    """What the tree compares: a layer's role, its signature, and its version where versions are to share no more.

    The role, because in an MLP with as many hidden features as classes an output layer looks like a hidden one.
    """
    limit = len(layers) if common_layers is None else common_layers
    return [(layer.role, layer.signature, *([version] if i >= limit else [])) for i, layer in enumerate(layers)]


def _across_versions(groups: Iterable[Average], chains: Sequence[Chain]) -> list[Average]:
    """The groups of classifier layers, merged where place in the classifier and signature agree."""
    merged: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for group in groups:
        if first_layer(group, chains).role == "classifier":
            for client, depth in zip(group.clients, group.depths, strict=True):
                place = sum(layer.role == "classifier" for layer in chains[client][: depth - 1])
                merged.setdefault((place, chains[client][depth - 1].signature), []).append((client, depth))
    averages = []
    for some in merged.values():
        clients, depths = zip(*sorted(some), strict=True)
        averages.append(Average(clients, depths, chains[clients[0]][depths[0] - 1].name))
    return averages


def describe(plan: Plan) -> str:
    """A plan as text: for every version or tier, its layers and who averages them; runs of layers share a line."""
    holders: dict[tuple[str, tuple[tuple[str, str, str], ...]], list[int]] = {}
    for client, version in enumerate(plan.versions):
        holders.setdefault((version, tuple(_lines(plan, client))), []).append(client)
    lines = [f"{plan.strategy} for {plan.family}, {_matched(plan)}"]
    for (version, rows), clients in holders.items():
        lines += ["", f"{version} = {_held(plan, version)}: {_clients(clients)}"]
        lines += [f"  {depths:<7} {names:<44} {partners}".rstrip() for depths, names, partners in rows]
    return "\n".join(lines)


def _matched(plan: Plan) -> str:
    """What the layers of different clients are matched by, and which channels narrower members have."""
    if plan.largest is None:
        return f"classifier: {plan.classifier}"
    by_place = f"by place in {version_title(plan.family, plan.largest)}"
    if all(member.width == 1 for member in plan.members.values()):
        return by_place
    (window,) = {group.window for group in plan.groups if group.window}
    return f"{by_place}, channels: {_WINDOWS[window]}"


_WINDOWS = {"leading": "the first ones", "rolling": "rolling on by one in every round"}


def _held(plan: Plan, version: str) -> str:
    """What the clients of a version or tier hold."""
    if version not in plan.members:
        return version_title(plan.family, version)
    member = plan.members[version]
    title = member_title(plan.family, member)
    return title if member.work == 1 else f"{title}, {member.work:.2g} of the largest's multiply-adds"


def _lines(plan: Plan, client: int) -> Iterator[tuple[str, str, str]]:
    """Depths, layer names and partners of each run of layers that a client averages with the same clients."""
    version = plan.versions[client]
    names = plan.layers[version]
    partners: list[tuple[int, ...]] = [()] * len(names)
    for group in plan.groups:
        if client in group.clients:
            partners[group.depths[group.clients.index(client)] - 1] = group.clients
    rows = zip(range(1, len(names) + 1), names, _lie(plan, version), partners, strict=True)
    for (clients, moved), run in groupby(rows, lambda row: (row[3], row[1] != row[2])):
        depths, ours, theirs, _ = zip(*run, strict=True)
        yield ranges(depths), _span(ours), _partners(clients) + (f", as {_span(theirs)}" if moved else "")


def _lie(plan: Plan, version: str) -> tuple[str, ...]:
    """The places of the layers of a version or tier in the largest version; their own names if none matters."""
    if plan.largest is None:
        return plan.layers[version]
    return in_largest(plan.family, plan.members[version].version, plan.layers[version], plan.layers[plan.largest])


def _partners(clients: Sequence[int]) -> str:
    if not clients:
        return "personal"
    return f"averaged by {_clients(clients)}" if len(clients) > 1 else f"held by {_clients(clients)} alone"


def _span(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}"


def _clients(clients: Sequence[int]) -> str:
    return f"{'client' if len(clients) == 1 else 'clients'} {ranges(clients)}"
