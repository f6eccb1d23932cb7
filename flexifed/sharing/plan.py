"""Plans: which clients average which layer. Stored as JSON, checked against models, read by training and by figures.

A plan is made by `flexifed.sharing.planning` before any training; `flexifed.training.aggregation` carries it out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexifed.settings.protocol import from_dict
from flexifed.sharing.regions import Member, Window
from flexifed.system import files
from flexifed.system.errors import UserError

if TYPE_CHECKING:
    from flexifed.sharing.layers import Chain, Layer


@dataclass(frozen=True)
class Average:
    """One layer and the clients that average it.

    Attributes:
        clients: ascending, at least two; one is enough where there is a window.
        depths: the layer's place in each client's chain, 1 for the first layer. They differ between clients only for
            classifier layers that are averaged across versions, and with a window.
        layer: its name in the first client's model; with a window, in the family's largest version.
        window: where clients have a part of that layer only, which one; None where they have the same layer.
    """

    clients: tuple[int, ...]
    depths: tuple[int, ...]
    layer: str
    window: Window | None = None


@dataclass(frozen=True)
class Plan:
    """What is averaged in every round of a federation; everything else stays with its client.

    Attributes:
        family: registered name.
        strategy: registered name.
        classifier: "same_architecture", "none" or "all", see `make`.
        versions: one per client; with budgets, its tier.
        layers: version -> names of its layers in order of execution.
        groups: by depth, then by client; no layer of a client is in two of them.
        members: with budgets, what the clients of each tier hold.
        largest: the family's largest version, whose layers are in `layers`; None where no group has a window.
        scaled: whether members' activations are divided by their width while they train.
    """

    family: str
    strategy: str
    classifier: str
    versions: tuple[str, ...]
    layers: Mapping[str, tuple[str, ...]]
    groups: tuple[Average, ...]
    members: Mapping[str, Member] = field(default_factory=dict)
    largest: str | None = None
    scaled: bool = False


def check(plan: Plan, chains: Sequence["Chain"]) -> None:
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
        if plan.layers.get(version) != layer_names(layers):
            raise UserError(f"{where}: layers of {version} are not those of client {client}. Make the plan again.")
    seen: set[tuple[int, int]] = set()
    for group in plan.groups:
        this = f"{where}, group {group.layer} of clients {ranges(group.clients)} at depth {ranges(group.depths[:1])}"
        least = 1 if group.window else 2
        if len(group.clients) < least or len(group.clients) != len(group.depths):
            raise UserError(
                f"{this}: needs at least {('one client', 'two clients')[least - 1]}, and one depth for each."
            )
        if group.window and group.layer not in plan.layers.get(plan.largest or "", ()):
            raise UserError(f"{this}: the largest version ({plan.largest}) has no such layer. Make the plan again.")
        for client, depth in zip(group.clients, group.depths, strict=True):
            if not 0 <= client < len(chains):
                raise UserError(f"{this}: unknown client {client}; clients are 0-{len(chains) - 1}.")
            if not 1 <= depth <= len(chains[client]):
                raise UserError(f"{this}: client {client} has layers 1-{len(chains[client])}, not {depth}.")
            if (client, depth) in seen:
                raise UserError(f"{this}: layer {depth} of client {client} is in another group, too.")
            seen.add((client, depth))
            ours, first = chains[client][depth - 1].signature, first_layer(group, chains).signature
            if ours.partition("(")[0] != first.partition("(")[0] if group.window else ours != first:
                raise UserError(f"{this}: mixes {first} and, of client {client}, {ours}.")


def first_layer(group: Average, chains: Sequence["Chain"]) -> "Layer":
    """The layer of a group as its first client has it; the others' have the same signature."""
    return chains[group.clients[0]][group.depths[0] - 1]


def layer_names(layers: "Chain") -> tuple[str, ...]:
    """Names of a chain's layers, in order of execution."""
    return tuple(layer.name for layer in layers)


def ranges(numbers: Sequence[int]) -> str:
    """(0, 1, 2, 5) -> "0-2, 5"; the numbers ascend."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def write(plan: Plan, path: Path) -> None:
    """Write a plan as JSON, one version or group per line; equal plans give equal bytes."""
    layers = [f"    {json.dumps(version)}: {json.dumps(names)}" for version, names in plan.layers.items()]
    groups = [f"    {json.dumps(_group_to_json(group))}" for group in plan.groups]
    members = {tier: asdict(member) for tier, member in plan.members.items()}
    elastic = {"members": members, "largest": plan.largest, "scaled": plan.scaled}
    more = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in elastic.items() if value]
    with files.complete(path) as partial:
        partial.write_text(
            "{\n"
            + "".join(f'  "{key}": {json.dumps(getattr(plan, key))},\n' for key in ("family", "strategy", "classifier"))
            + "".join(more)
            + f'  "versions": {json.dumps(plan.versions)},\n'
            + '  "layers": {\n' + ",\n".join(layers) + "\n  },\n"
            + '  "groups": [\n' + ",\n".join(groups) + "\n  ]\n}\n"
        )  # fmt: skip


def _group_to_json(group: Average) -> dict[str, Any]:
    """`depth` is one number, or one per client where they differ."""
    depth = group.depths[0] if len(set(group.depths)) == 1 else group.depths
    window = {"window": group.window} if group.window else {}
    return {"layer": group.layer, "depth": depth, "clients": group.clients, **window}


def read(path: Path) -> Plan:
    """Read a plan that `write` wrote. It is not checked against any model: see `check`.

    Raises:
        UserError: it is not there, or not a plan; the file is named.
    """
    stored = files.read_object(path)
    try:
        groups = [
            {**group, "depths": depth if isinstance(depth := group["depth"], list) else [depth] * len(group["clients"])}
            for group in stored["groups"]
        ]
        for group in groups:
            del group["depth"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not a plan ({error!r} in its groups). Make the plan again.") from error
    try:
        plan: Plan = from_dict(Plan, stored | {"groups": groups})
    except UserError as error:
        raise UserError(f"{path} is not a plan: {error} Make the plan again.") from error
    return plan
