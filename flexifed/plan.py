"""Plans: which clients average which layer. Made from architectures, stored as JSON, checked, printed, applied.

A strategy decides before any training; training then only carries the plan out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flexifed import files, models, prefix_tree, registry
from flexifed.errors import UserError
from flexifed.layers import Chain, Layer, chain

BYTES = 4
"""Of one transferred value: float32."""

SHAPES = {"image": (3, 32, 32), "text": (1024,)}
"""Sample shape by kind that plans are made with. It has no influence on the groups, nor has the number of classes."""
CLASSES = 10

CLASSIFIER = ("same_architecture", "none", "all")


@dataclass(frozen=True)
class Average:
    """One layer and the clients that average it.

    Attributes:
        clients: ascending, at least two.
        depths: the layer's place in each client's chain, 1 for the first layer. They differ between clients only for
            classifier layers that are averaged across versions.
        layer: its name in the first client's model.
    """

    clients: tuple[int, ...]
    depths: tuple[int, ...]
    layer: str


@dataclass(frozen=True)
class Plan:
    """What is averaged in every round of a federation; everything else stays with its client.

    Attributes:
        family: registered name.
        strategy: registered name.
        classifier: "same_architecture", "none" or "all", see `make`.
        versions: one per client.
        layers: version -> names of its layers in order of execution.
        groups: by depth, then by client; no layer of a client is in two of them.
    """

    family: str
    strategy: str
    classifier: str
    versions: tuple[str, ...]
    layers: Mapping[str, tuple[str, ...]]
    groups: tuple[Average, ...]


def for_family(
    family: str,
    strategy: str,
    *,
    versions: Sequence[str],
    classifier: str = "same_architecture",
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan of a federation whose client i holds `versions[i]` of a family; takes milliseconds, no weights needed.

    Args:
        family: registered name.
        strategy: registered name.
        versions: one per client.
        classifier: see `make`.
        options: the family's options.

    Raises:
        UserError: a name or an option is not known.
    """
    shape = SHAPES[registry.load("family", family).KIND]
    built = {v: chain(models.build_meta(family, v, shape, CLASSES, options or {})) for v in sorted(set(versions))}
    return make(family, strategy, versions, [built[version] for version in versions], classifier)


def make(family: str, strategy: str, versions: Sequence[str], chains: Sequence[Chain], classifier: str) -> Plan:
    """Ask a strategy who averages what, and settle the classifier layers.

    Args:
        family: registered name, recorded only.
        strategy: registered name.
        versions: one per client; clients of one version have equal chains.
        chains: one per client.
        classifier: fully connected layers are averaged as the strategy says, which is within one architecture
            ("same_architecture"); not at all ("none"); or, those that the strategy averages within an architecture,
            across architectures too, matched by place in the classifier and signature ("all"; paper, Table 3).

    Raises:
        UserError: a name is not known.
    """
    if classifier not in CLASSIFIER:
        raise registry.unknown("value of classifier", classifier, CLASSIFIER)
    tree = prefix_tree.build([[layer.signature for layer in layers] for layers in chains])
    groups = [
        Average(group.clients, (group.depth,) * len(group.clients), chains[group.clients[0]][group.depth - 1].name)
        for group in registry.load("strategy", strategy).groups(tree)
    ]
    if classifier != "same_architecture":
        across = _across_versions(groups, chains) if classifier == "all" else []
        groups = [group for group in groups if _first_layer(group, chains).role == "base"] + across
    plan = Plan(
        family=family,
        strategy=strategy,
        classifier=classifier,
        versions=tuple(versions),
        layers={version: _names(chains[versions.index(version)]) for version in sorted(set(versions))},
        groups=tuple(sorted((g for g in groups if len(g.clients) > 1), key=lambda g: (g.depths[0], g.clients))),
    )
    check(plan, chains)
    return plan


def _across_versions(groups: Iterable[Average], chains: Sequence[Chain]) -> list[Average]:
    """The groups of classifier layers, merged where place in the classifier and signature agree."""
    merged: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for group in groups:
        if _first_layer(group, chains).role == "classifier":
            for client, depth in zip(group.clients, group.depths, strict=True):
                place = sum(layer.role == "classifier" for layer in chains[client][: depth - 1])
                merged.setdefault((place, chains[client][depth - 1].signature), []).append((client, depth))
    averages = []
    for places in merged.values():
        clients, depths = zip(*sorted(places), strict=True)
        averages.append(Average(clients, depths, chains[clients[0]][depths[0] - 1].name))
    return averages


def _first_layer(group: Average, chains: Sequence[Chain]) -> Layer:
    return chains[group.clients[0]][group.depths[0] - 1]


def _names(layers: Chain) -> tuple[str, ...]:
    return tuple(layer.name for layer in layers)


def check(plan: Plan, chains: Sequence[Chain]) -> None:
    """Check that a plan can be carried out on models with these chains, one per client.

    Raises:
        UserError: the plan is for other clients or other architectures, a group names an unknown client or layer, has
            fewer than two clients or mixes signatures, or a layer of a client is in two groups. The message names the
            group.
    """
    where = f"plan {plan.strategy!r} for family {plan.family!r}"
    if len(plan.versions) != len(chains):
        raise UserError(f"{where} is for {len(plan.versions)} clients, there are {len(chains)}. Make the plan again.")
    for client, (version, layers) in enumerate(zip(plan.versions, chains, strict=True)):
        if plan.layers.get(version) != _names(layers):
            raise UserError(f"{where}: layers of {version} are not those of client {client}. Make the plan again.")
    seen: set[tuple[int, int]] = set()
    for group in plan.groups:
        this = f"{where}, group {group.layer} of clients {_ranges(group.clients)} at depth {group.depths[0]}"
        if len(group.clients) < 2 or len(group.clients) != len(group.depths):
            raise UserError(f"{this}: needs at least two clients, and one depth for each.")
        for client, depth in zip(group.clients, group.depths, strict=True):
            if not 0 <= client < len(chains):
                raise UserError(f"{this}: unknown client {client}; clients are 0-{len(chains) - 1}.")
            if not 1 <= depth <= len(chains[client]):
                raise UserError(f"{this}: client {client} has layers 1-{len(chains[client])}, not {depth}.")
            if (client, depth) in seen:
                raise UserError(f"{this}: layer {depth} of client {client} is in another group, too.")
            seen.add((client, depth))
            ours, first = chains[client][depth - 1].signature, _first_layer(group, chains).signature
            if ours != first:
                raise UserError(f"{this}: mixes {first} and, of client {client}, {ours}.")


def write(plan: Plan, path: Path) -> None:
    """Write a plan as JSON, one version or group per line; equal plans give equal bytes."""
    layers = [f"    {json.dumps(version)}: {json.dumps(names)}" for version, names in plan.layers.items()]
    groups = [f"    {json.dumps(_group_to_json(group))}" for group in plan.groups]
    with files.complete(path) as partial:
        partial.write_text(
            "{\n"
            + "".join(f'  "{key}": {json.dumps(getattr(plan, key))},\n' for key in ("family", "strategy", "classifier"))
            + f'  "versions": {json.dumps(plan.versions)},\n'
            + '  "layers": {\n' + ",\n".join(layers) + "\n  },\n"
            + '  "groups": [\n' + ",\n".join(groups) + "\n  ]\n}\n"
        )  # fmt: skip


def _group_to_json(group: Average) -> dict[str, Any]:
    """`depth` is one number, or one per client where they differ."""
    depth = group.depths[0] if len(set(group.depths)) == 1 else group.depths
    return {"layer": group.layer, "depth": depth, "clients": group.clients}


def read(path: Path) -> Plan:
    """Read a plan that `write` wrote. It is not checked against any model: see `check`."""
    stored = files.read_json(path)
    groups = []
    for group in stored["groups"]:
        clients, depth = tuple(group["clients"]), group["depth"]
        groups.append(
            Average(clients, tuple(depth) if isinstance(depth, list) else (depth,) * len(clients), group["layer"])
        )
    return Plan(
        family=stored["family"],
        strategy=stored["strategy"],
        classifier=stored["classifier"],
        versions=tuple(stored["versions"]),
        layers={version: tuple(names) for version, names in stored["layers"].items()},
        groups=tuple(groups),
    )


def describe(plan: Plan) -> str:
    """A plan as text: for every version, its layers and who averages them; runs of layers share a line."""
    known = registry.constant("family", plan.family, "VERSIONS")
    titles = dict(zip(known, registry.constant("family", plan.family, "TITLES"), strict=True))
    holders: dict[tuple[str, tuple[tuple[str, str, str], ...]], list[int]] = {}
    for client, version in enumerate(plan.versions):
        holders.setdefault((version, tuple(_lines(plan, client))), []).append(client)
    lines = [f"{plan.strategy} for {plan.family}, classifier: {plan.classifier}"]
    for (version, rows), clients in holders.items():
        lines += ["", f"{version} = {titles[version]}: {_clients(clients)}"]
        lines += [f"  {depths:<7} {names:<44} {partners}".rstrip() for depths, names, partners in rows]
    return "\n".join(lines)


def _lines(plan: Plan, client: int) -> Iterator[tuple[str, str, str]]:
    """Depths, layer names and partners of each run of layers that a client averages with the same clients."""
    names = plan.layers[plan.versions[client]]
    partners: list[tuple[int, ...]] = [()] * len(names)
    for group in plan.groups:
        if client in group.clients:
            partners[group.depths[group.clients.index(client)] - 1] = group.clients
    start = 0
    for end in range(1, len(names) + 1):
        if end == len(names) or partners[end] != partners[start]:
            single = end == start + 1
            yield (
                f"{start + 1}" if single else f"{start + 1}-{end}",
                names[start] if single else f"{names[start]} .. {names[end - 1]}",
                f"averaged by {_clients(partners[start])}" if partners[start] else "personal",
            )
            start = end


def _clients(clients: Sequence[int]) -> str:
    return f"{'client' if len(clients) == 1 else 'clients'} {_ranges(clients)}"


def _ranges(numbers: Sequence[int]) -> str:
    """(0, 1, 2, 5) -> "0-2, 5"; the numbers ascend."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def averages(
    plan: Plan,
    chains: Sequence[Chain],
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float] | None = None,
    normalisation: str = "averaged",
) -> Iterator[dict[int, dict[str, Tensor]]]:
    """The means of a plan, group by group: client -> key -> mean.

    Groups do not overlap, so a caller may write a group's means back into `states` before it takes the next group, and
    then needs memory for the means of one layer only. Clients of a group get the same tensors. A key may differ
    between clients; tensors are matched by their place in the layer. Integer counters are never averaged.

    Args:
        plan: a checked plan.
        chains: one per client.
        states: one per client, as from `state_dict`, on any one device.
        weights: positive weight of each client's values, e.g. its number of training samples; None for the plain mean
            (paper, 1/|C|).
        normalisation: "averaged" with its layer, or "local": it stays with the client, as in FedBN.

    Yields:
        Means in float32 (float64 for float64 states), accumulated in that precision in the order of the clients.
    """
    for group in plan.groups:
        keys = [
            averaged_keys(chains[client][depth - 1], normalisation)
            for client, depth in zip(group.clients, group.depths, strict=True)
        ]
        shares = [1.0 if weights is None else weights[client] for client in group.clients]
        means: dict[int, dict[str, Tensor]] = {client: {} for client in group.clients}
        for aligned in zip(*keys, strict=True):
            mean = _mean([states[client][key] for client, key in zip(group.clients, aligned, strict=True)], shares)
            for client, key in zip(group.clients, aligned, strict=True):
                means[client][key] = mean
        yield means


def averaged_keys(layer: Layer, normalisation: str) -> tuple[str, ...]:
    """The keys of a layer that are averaged with it, for `normalisation` "averaged" or "local"."""
    assert normalisation in ("averaged", "local"), normalisation
    return layer.weights + (layer.normalisation if normalisation == "averaged" else ())


def _mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean as a running mean: one extra tensor whatever the number of clients, and exact on equal tensors."""
    assert min(weights) > 0, f"weights of a mean must be positive, got {weights}"
    mean = tensors[0].detach().to(torch.promote_types(tensors[0].dtype, torch.float32), copy=True)
    total = weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total += weight
        mean.lerp_(tensor.detach().to(mean.dtype), weight / total)
    return mean


def apply(
    plan: Plan,
    chains: Sequence[Chain],
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float] | None = None,
    normalisation: str = "averaged",
) -> list[dict[str, Tensor]]:
    """The clients' states after aggregation, all tensors new; arguments as `averages`."""
    new = [{key: tensor.detach().clone() for key, tensor in state.items()} for state in states]
    for means in averages(plan, chains, new, weights, normalisation):
        for client, tensors in means.items():
            for key, mean in tensors.items():
                new[client][key].copy_(mean)
    return new


def bytes_per_round(
    plan: Plan, chains: Sequence[Chain], states: Sequence[Mapping[str, Tensor]], normalisation: str = "averaged"
) -> list[int]:
    """Bytes that each client sends in a round, and as many that it receives: its averaged values as float32.

    Only shapes are read, so `states` may be on the meta device.
    """
    total = [0] * len(chains)
    for group in plan.groups:
        for client, depth in zip(group.clients, group.depths, strict=True):
            keys = averaged_keys(chains[client][depth - 1], normalisation)
            total[client] += BYTES * sum(states[client][key].numel() for key in keys)
    return total
