"""A federation: put together from files, and its round loop (local training, evaluation, aggregation, evaluation)."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from flexifed import models
from flexifed.data import partition, samples
from flexifed.settings import registry, rng
from flexifed.settings.job import Job
from flexifed.sharing import plan
from flexifed.sharing.layers import chain
from flexifed.system.errors import UserError
from flexifed.system.progress import RoundProgress
from flexifed.training import weights
from flexifed.training.client import Client, Samples
from flexifed.training.engine import Engine, Evaluation, Federation
from flexifed.training.history import History


def assemble(job: Job, prepared: Path, partition_file: Path, plan_file: Path, device: torch.device) -> Federation:
    """Load data, partition and plan, and build the clients with their initial weights."""
    card = samples.read_card(prepared)
    held = partition.read(partition_file)
    partition.check_fits(
        partition_file, held, clients=job.protocol.clients, n_train=card["n_train"], n_test=card["n_test"]
    )
    fleet = build_models(job, card)
    versions = job.protocol.client_versions()
    chains = {version: chain(model) for version, model in fleet.items()}
    layouts = {version: weights.layout(model, chains[version]) for version, model in fleet.items()}
    states = weights.allocate([layouts[version] for version in versions], device)
    kept = job.protocol.optimiser.state == "kept"
    velocities = weights.allocate([layouts[v] for v in versions], device) if kept else [None] * len(versions)
    clients = [
        Client(i, version, chains[version], state, held[i].train, held[i].test, velocity)
        for i, (version, state, velocity) in enumerate(zip(versions, states, velocities, strict=True))
    ]
    initialise(clients, fleet, job, card)
    the_plan = plan.read(plan_file)
    plan.check(the_plan, [client.chain for client in clients])
    return Federation(
        clients=clients,
        models={version: model.to(device) for version, model in fleet.items()},
        train=_on_device(samples.read(prepared, "train"), device),
        test=_on_device(samples.read(prepared, "test"), device),
        transform=registry.load("dataset", job.cell.dataset).TRANSFORM,
        plan=the_plan,
        protocol=job.protocol,
        seed=job.cell.seed,
        device=device,
        precision=job.precision,
    )


def build_models(job: Job, card: Mapping[str, Any]) -> dict[str, nn.Module]:
    """One model per version on the CPU, whose values depend on the seed and the version, not on the strategy."""
    versions = dict.fromkeys(job.protocol.client_versions())
    fleet = {version: _build(job, card, version, version) for version in versions}
    if job.protocol.initial_weights == "common":
        start_common_layers_equal(list(fleet.values()))
    return fleet


def _build(job: Job, card: Mapping[str, Any], version: str, *stream: str | int) -> nn.Module:
    generator = rng.torch_stream(job.cell.seed, "initial", job.cell.family, *stream)
    shape, classes = tuple(card["shape"]), len(card["classes"])
    return models.build(job.cell.family, version, shape, classes, job.family_options, generator)


def initialise(clients: Sequence[Client], fleet: Mapping[str, nn.Module], job: Job, card: Mapping[str, Any]) -> None:
    """Give every client its initial weights: those of its version's model, or its own (`per_client`)."""
    own = job.protocol.initial_weights == "per_client"
    for client in clients:
        v = client.version
        client.weights.read(_build(job, card, v, v, client.id) if own else fleet[v])


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


def loop(
    federation: Federation,
    engine: Engine,
    progress: RoundProgress,
    history: History,
    done: int = 0,
    after_round: Callable[[int], None] = lambda round_number: None,
) -> None:
    """The rounds of a federation that are not done yet; what is measured is added to the history.

    Raises:
        UserError: a training loss is not finite, or memory was not enough; names round, client and version.
    """
    accuracy: float | None = None
    for round_number in range(done + 1, federation.protocol.rounds + 1):
        try:
            accuracy = _round(federation, engine, round_number, history) or accuracy
        except UserError as error:
            raise type(error)(f"round {round_number}: {error}") from error
        progress(round_number, accuracy)
        after_round(round_number)


def _round(federation: Federation, engine: Engine, round_number: int, history: History) -> float | None:
    """One round; returns the mean accuracy after aggregation where the round is evaluated."""
    clients, protocol = federation.clients, federation.protocol
    losses = engine.train(round_number)
    _check_finite(clients, losses)
    if round_number % protocol.evaluate_every and round_number != protocol.rounds:
        engine.aggregate()
        if protocol.test_updates_statistics:  # the authors' script tests in every round
            engine.evaluate(round_number, train_mode=True)
        return None
    for client, loss in zip(clients, losses, strict=True):
        history.add(round_number, client.id, client.version, "local", "train_loss", loss)
    _record(history, clients, round_number, "local", engine.evaluate(round_number, train_mode=False))
    engine.aggregate()
    evaluations = engine.evaluate(round_number, train_mode=True)
    _record(history, clients, round_number, "aggregated", evaluations)
    return sum(e.accuracy for e in evaluations) / len(evaluations)


def _record(
    history: History, clients: Sequence[Client], round_number: int, phase: str, evaluations: Sequence[Evaluation]
) -> None:
    for client, evaluation in zip(clients, evaluations, strict=True):
        for metric, value in dataclasses.asdict(evaluation).items():
            if value is not None:
                history.add(round_number, client.id, client.version, phase, metric, value)


class NotFinite(UserError):
    """A training loss is not finite: what these settings come to, so that another try would end the same."""


def _check_finite(clients: Sequence[Client], losses: Sequence[float]) -> None:
    for client, loss in zip(clients, losses, strict=True):
        if not math.isfinite(loss):
            raise NotFinite(
                f"the training loss of client {client.id} ({client.version}) is {loss}; "
                "lower `optimiser.learning_rate` for this data set or family."
            )


def _on_device(split: samples.Split, device: torch.device) -> Samples:
    inputs, labels = (
        torch.from_numpy(np.array(values)) for values in (split.samples, split.labels)
    )  # of writable copies
    return Samples(inputs.to(device), labels.to(device))


def weights_digest(clients: Sequence[Client]) -> str:
    """SHA-256 over every client's tensors in the order of its model."""
    total = hashlib.sha256()
    for client in clients:
        for tensor in client.weights.state().values():
            total.update(tensor.cpu().numpy().tobytes())
    return total.hexdigest()
