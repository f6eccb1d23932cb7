"""A federation, put together from its files."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from flexifed import models
from flexifed.data import partition, samples
from flexifed.devices import fleet
from flexifed.devices.clock import Clock
from flexifed.elastic import masks as masks_of_model
from flexifed.elastic.masks import Masks
from flexifed.models._blocks import scale_activations
from flexifed.models._rows import tables
from flexifed.selection.uniform import Uniform
from flexifed.settings import registry, rng
from flexifed.settings.job import Job
from flexifed.settings.protocol import Pruning
from flexifed.sharing import plan, planning
from flexifed.sharing.layers import Chain, chain
from flexifed.sharing.plan import Plan
from flexifed.sharing.regions import Member
from flexifed.system.errors import UserError
from flexifed.training import weights
from flexifed.training.attendance import Attendance
from flexifed.training.client import Client, Fields, Samples
from flexifed.training.engine import Federation
from flexifed.training.objectives import Objective
from flexifed.training.parts import bytes_per_round, parts
from flexifed.training.rules import Mean, Rule
from flexifed.training.server import Server
from flexifed.training.submodels import Submodels
from flexifed.training.weights import Layout, Weights


def assemble(
    job: Job,
    prepared: Path,
    partition_file: Path,
    plan_file: Path,
    device: torch.device,
    devices_file: Path | None = None,
    masks_file: Path | None = None,
) -> Federation:
    """Load data, partition, plan and, where there are any, devices and masks; build the clients and their server."""
    card = samples.read_card(prepared)
    held = partition.read(partition_file)
    partition.check_fits(
        partition_file, held, clients=job.protocol.clients, n_train=card["n_train"], n_test=card["n_test"]
    )
    the_plan = plan.read(plan_file)
    built = build_models(job, card, the_plan.members)
    chains = {version: chain(model) for version, model in built.items()}
    layouts = {version: weights.layout(model, chains[version]) for version, model in built.items()}
    train, test = (samples.read(prepared, split) for split in samples.SPLITS)
    clients = [
        Client(i, version, chains[version], layouts[version], held[i].train, held[i].test)
        for i, version in enumerate(job.protocol.client_versions())
    ]
    if any(layout.tables for layout in layouts.values()):
        own_test = job.protocol.test_set == "shard"
        clients = [with_own_rows(client, built[client.version], train, test, own_test, device) for client in clients]
    plan.check(the_plan, [client.chain for client in clients])
    initial = whole_initial_weights(built, layouts)
    if the_plan.scaled:
        for version, model in built.items():
            scale_activations(model, the_plan.members[version].width)
    masks = tier_masks(job, masks_file, card, the_plan, chains, layouts, device) if masks_file else {}
    submodels = of_largest(job, card, the_plan, chains, initial, masks, device)
    whole = submodels.layout if submodels else None
    shared = parts(the_plan, [layouts[client.version] for client in clients], job.protocol.normalisation, whole)
    attendance = Attendance(
        clients,
        job.protocol,
        partial(_of_strategy, job, "select") if "select" in _functions(job) else Uniform,
        job.cell.seed,
        Clock(fleet.read(devices_file, len(clients))) if devices_file else None,
        traffic(the_plan, clients, built, train, job.protocol.normalisation, masks),
        [the_plan.members[client.version].work for client in clients] if the_plan.members else None,
    )
    return Federation(
        clients=clients,
        server=Server(
            clients,
            shared,
            server_rule(job),
            initial_weights(initial, job, card, the_plan.members),
            device,
            averaging=job.protocol.averaging,
            keeps_momentum=job.protocol.optimiser.state == "kept",
            wholes={version: numbers for version, numbers in initial.items() if numbers.layout.tables},
            submodels=submodels,
        ),
        models={version: model.to(device) for version, model in built.items()},
        train=on_device(train, device),
        test=on_device(test, device),
        transform=registry.load("dataset", job.cell.dataset).TRANSFORM,
        plan=the_plan,
        protocol=job.protocol,
        seed=job.cell.seed,
        device=device,
        precision=job.precision,
        task=registry.load("task", job.task).TASK,
        attendance=attendance,
        objective=objective(job),
        masks=masks,
        squared_losses=attendance.selector.SQUARED_LOSSES,
    )


def server_rule(job: Job) -> Rule:
    """How the job's strategy makes the next value of a part; without a word of it, by the mean."""
    rule: Rule = _of_strategy(job, "server", job.protocol.optimiser) or Mean()
    return rule


def objective(job: Job) -> Objective | None:
    """What participants minimise beside their loss."""
    found: Objective | None = _of_strategy(job, "objective")
    return found


def _functions(job: Job) -> Mapping[str, Any]:
    return registry.functions("strategy", job.strategy_file)


def _of_strategy(job: Job, function: str, *known: object) -> Any:
    """What a function of the job's strategy returns for its options; None where the strategy does not have it.

    Args:
        job: whose strategy.
        function: its name.
        known: what it may be told; a function that has no positional parameters is not told.
    """
    if function not in _functions(job):
        return None
    name = job.strategy_file
    wanted = registry.keywords("strategy", name, function)
    options = {key: value for key, value in job.strategy_options.items() if key in wanted}
    told = known[: len(_functions(job)[function].args.args)]
    return getattr(registry.load("strategy", name), function)(*told, **options)


def with_own_rows(
    client: Client, model: nn.Module, train: samples.Split, test: samples.Split, own_test: bool, device: torch.device
) -> Client:
    """The client, with a layout that has only those rows of embedding tables that its own samples ask for.

    Args:
        client: with the layout of the whole model.
        model: of its version.
        train: the training split.
        test: the test split.
        own_test: whether it is tested on its own samples.
        device: where training is.
    """
    asked = rows_of(model, train, client.train)
    if own_test:
        of_test = rows_of(model, test, client.test)
        asked = {key: np.union1d(rows, of_test[key]) for key, rows in asked.items()}
    rows = {key: torch.from_numpy(numbers).to(device) for key, numbers in asked.items()}
    return dataclasses.replace(client, layout=weights.layout(model, client.chain, rows))


def rows_of(model: nn.Module, split: samples.Split, wanted: np.ndarray) -> dict[str, np.ndarray]:
    """By the key of each embedding table, the rows that samples of a split ask for, ascending.

    Args:
        model: whose tables.
        split: of a data set with sparse features.
        wanted: indices of the samples, int64 `[n]`.
    """
    sparse = split.samples["sparse"][wanted]
    return {key: table.asked(sparse) for key, table in tables(model).items()}


def traffic(
    plan: Plan,
    clients: Sequence[Client],
    built: Mapping[str, nn.Module],
    train: samples.Split,
    normalisation: str,
    masks: Mapping[str, Weights],
) -> list[int]:
    """Bytes that each client sends in a round that it takes part in, and as many that it receives.

    Of embedding tables these are the rows that its training samples ask for; which they are is not counted. Of a masked
    member they are the values that exist; the mask itself is sent once, see `flexifed.elastic.costs`.
    """
    states = {version: dict(model.state_dict()) for version, model in built.items()}
    of_clients = []
    for client in clients:
        state = states[client.version]
        if client.version in masks:
            state = {key: mask[mask > 0] for key, mask in masks[client.version].state().items()}
        if client.layout.tables:
            asked = rows_of(built[client.version], train, client.train)
            state = state | {key: state[key][: len(rows)] for key, rows in asked.items()}
        of_clients.append(state)
    return bytes_per_round(plan, [client.chain for client in clients], of_clients, normalisation)


def build_models(job: Job, card: Mapping[str, Any], members: Mapping[str, Member]) -> dict[str, nn.Module]:
    """One model per version on the CPU, whose values depend on the seed and the version, not on the strategy.

    With budgets, a version is a tier, and its model the member that the tier's clients hold.
    """
    versions = dict.fromkeys(job.protocol.client_versions())
    fleet = {version: _build(job, card, _member(members, version)) for version in versions}
    if job.protocol.initial_weights == "common":
        start_common_layers_equal(list(fleet.values()))
    return fleet


def tier_masks(
    job: Job,
    path: Path,
    card: Mapping[str, Any],
    the_plan: Plan,
    chains: Mapping[str, Chain],
    layouts: Mapping[str, Layout],
    device: torch.device,
) -> dict[str, Weights]:
    """By tier whose member is sparse, 1 where a value of it exists and 0 elsewhere, from the largest version's masks.

    Layers that the largest version does not have are not masked.

    Raises:
        UserError: the masks are of another model, or pruning has ended before a sparsity that a tier needs.
    """
    assert the_plan.largest is not None and job.protocol.budgets is not None
    whole = planning.build_member(
        job.cell.family, Member(the_plan.largest), tuple(card["shape"]), len(card["classes"]), job.family_options
    )
    pruned = masks_of_model.read(path, job.cell.family, the_plan.largest, masks_of_model.prunable(whole))
    keys = {layer.name: layer.weights[0] for layer in chain(whole)}
    found = {}
    for tier, member in the_plan.members.items():
        if member.sparsity:
            client = the_plan.versions.index(tier)
            kept = pruned.kept_after(_round_of(job.protocol.budgets.pruning, pruned, tier, member))
            own = {
                chains[tier][group.depths[group.clients.index(client)] - 1].weights[0]: kept[keys[group.layer]]
                for group in the_plan.groups
                if group.window and client in group.clients
            }
            found[tier] = masks_of_model.as_weights(own, layouts[tier], device)
    return found


def _round_of(pruning: Pruning, pruned: Masks, tier: str, member: Member) -> int:
    """The round of pruning after which a member is as sparse as it is to be.

    Raises:
        UserError: pruning has ended before.
    """
    number = pruning.round_of(member.sparsity)
    if number > pruned.rounds:
        raise UserError(
            f"tier {tier!r} holds {member.version} at a sparsity of {member.sparsity:.3f}, and pruning ended after "
            f"{pruned.rounds} rounds, at {pruned.sparsities[-1]:.3f}, since accuracy fell by more than `tolerance`. "
            f"Raise `budgets.pruning.tolerance`, or let tiers do with less sparse members: `budgets.sparsest` of "
            f"{pruned.sparsities[-1]:.3f} or less, higher `budgets.levels`."
        )
    return number


def _member(members: Mapping[str, Member], version: str) -> Member:
    return members.get(version, Member(version))


def _build(job: Job, card: Mapping[str, Any], member: Member, *stream: str | int) -> nn.Module:
    generator = rng.torch_stream(job.cell.seed, "initial", job.cell.family, member.version, *stream)
    shape, classes = tuple(card["shape"]), len(card["classes"])
    options = planning.member_options(job.cell.family, member, job.family_options)
    return models.build(job.cell.family, member.version, shape, classes, options, generator)


def of_largest(
    job: Job,
    card: Mapping[str, Any],
    the_plan: Plan,
    chains: Mapping[str, Chain],
    initial: Mapping[str, Weights],
    masks: Mapping[str, Weights],
    device: torch.device,
) -> Submodels | None:
    """What clients hold of the family's largest version, with its initial numbers; None where they hold nothing of it.

    The initial numbers of the members, given for each tier, become those of the largest version, in place.
    """
    if the_plan.largest is None or not any(group.window for group in the_plan.groups):
        return None
    model = _build(job, card, Member(the_plan.largest))
    layers = chain(model)
    submodels = Submodels(
        the_plan,
        (layers, _read(model, weights.layout(model, layers))),
        {tier: (chains[tier], numbers.layout) for tier, numbers in initial.items()},
        job.protocol.normalisation,
        job.cell.seed,
        masks,
        device,
    )
    for tier, numbers in initial.items():
        submodels.start(tier, numbers)
    return submodels


def whole_initial_weights(fleet: Mapping[str, nn.Module], layouts: Mapping[str, Layout]) -> dict[str, Weights]:
    """The initial numbers of every version's model."""
    return {version: _read(model, layouts[version]) for version, model in fleet.items()}


def initial_weights(
    kept: Mapping[str, Weights], job: Job, card: Mapping[str, Any], members: Mapping[str, Member]
) -> Callable[[Client], Weights]:
    """Gives a client's initial numbers: those of its version's model, kept here, or its own, drawn when asked for."""

    def of_version(client: Client) -> Weights:
        whole = kept[client.version]
        return weights.cut(whole, client.layout) if client.layout.rows else whole

    def own(client: Client) -> Weights:
        return _read(_build(job, card, _member(members, client.version), client.id), client.layout)

    return own if job.protocol.initial_weights == "per_client" else of_version


def _read(model: nn.Module, layout: Layout) -> Weights:
    (numbers,) = weights.allocate([layout], torch.device("cpu"))
    numbers.read(model)
    return numbers


def start_common_layers_equal(fleet: Sequence[nn.Module]) -> None:
    """Give every model, in place, the weights of the models before it in the layers that they have in common.

    Common is as in the prefix tree: equal signatures from the input on, so earlier models never disagree.
    """
    chains = [chain(model) for model in fleet]
    for i, model in enumerate(fleet):
        for earlier, layers in zip(fleet[:i], chains, strict=False):
            theirs, ours = earlier.state_dict(), model.state_dict()
            pairs = takewhile(lambda pair: pair[0].signature == pair[1].signature, zip(layers, chains[i], strict=False))
            for a, b in pairs:
                for their_key, our_key in zip(a.weights + a.normalisation, b.weights + b.normalisation, strict=True):
                    ours[our_key].copy_(theirs[their_key])


def on_device(split: samples.Split, device: torch.device) -> Samples:
    """A split as engines take it."""
    labels = torch.from_numpy(np.array(split.labels)).to(device)  # of a writable copy, as below
    names = split.samples.dtype.names
    if names is None:
        return Samples(torch.from_numpy(np.array(split.samples)).to(device), labels, split.groups)
    arrays = {name: torch.from_numpy(np.array(split.samples[name])).to(device) for name in names}
    return Samples(Fields(arrays), labels, split.groups)


def initial_digest(federation: Federation) -> str:
    """SHA-256 over the initial numbers of every client, or of every version where clients of one start equal."""
    total = hashlib.sha256()
    own = federation.protocol.initial_weights == "per_client"
    first = {client.id if own else client.version: client for client in reversed(federation.clients)}
    for client in reversed(first.values()):
        for tensor in federation.server.initial(client).state().values():
            total.update(tensor.numpy().tobytes())
    return total.hexdigest()
