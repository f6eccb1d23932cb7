"""A federation, put together from its files."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from flexifed.data import partition, samples
from flexifed.devices import fleet
from flexifed.devices.clock import Clock
from flexifed.elastic.tiers import tier_masks
from flexifed.models._blocks import scale_activations
from flexifed.models._rows import tables
from flexifed.selection.uniform import Uniform
from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.sharing import plan
from flexifed.sharing.layers import chain
from flexifed.sharing.plan import Plan
from flexifed.training import initial, weights
from flexifed.training.attendance import Attendance
from flexifed.training.client import Client, Fields, Samples
from flexifed.training.engine import Federation
from flexifed.training.objectives import Objective
from flexifed.training.parts import bytes_per_round, parts
from flexifed.training.rules import Mean, Rule
from flexifed.training.server import Server
from flexifed.training.weights import Weights


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
    built = initial.build_models(job, card, the_plan.members)
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
    numbers = initial.whole_initial_weights(built, layouts)
    if the_plan.scaled:
        for version, model in built.items():
            scale_activations(model, the_plan.members[version].width)
    masks = tier_masks(job, masks_file, card, the_plan, chains, layouts, device) if masks_file else {}
    submodels = initial.of_largest(job, card, the_plan, chains, numbers, masks, device)
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
            initial.initial_weights(numbers, job, card, the_plan.members),
            device,
            averaging=job.protocol.averaging,
            keeps_momentum=job.protocol.optimiser.state == "kept",
            wholes={version: one for version, one in numbers.items() if one.layout.tables},
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


def on_device(split: samples.Split, device: torch.device) -> Samples:
    """A split as engines take it."""
    labels = torch.from_numpy(np.array(split.labels)).to(device)  # of a writable copy, as below
    names = split.samples.dtype.names
    if names is None:
        return Samples(torch.from_numpy(np.array(split.samples)).to(device), labels, split.groups)
    arrays = {name: torch.from_numpy(np.array(split.samples[name])).to(device) for name in names}
    return Samples(Fields(arrays), labels, split.groups)
