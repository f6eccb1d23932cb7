"""The models of a federation, and the numbers that they begin with."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import nn

from flexifed import models
from flexifed.settings import rng
from flexifed.settings.job import Job
from flexifed.sharing import planning
from flexifed.sharing.layers import Chain, chain
from flexifed.sharing.plan import Plan
from flexifed.sharing.regions import Member
from flexifed.training import weights
from flexifed.training.client import Client
from flexifed.training.engine import Federation
from flexifed.training.submodels import Submodels
from flexifed.training.weights import Layout, Weights


def build_models(job: Job, card: Mapping[str, Any], members: Mapping[str, Member]) -> dict[str, nn.Module]:
    """One model per version on the CPU, whose values depend on the seed and the version, not on the strategy.

    With budgets, a version is a tier, and its model the member that the tier's clients hold.
    """
    versions = dict.fromkeys(job.protocol.client_versions())
    fleet = {version: _build(job, card, _member(members, version)) for version in versions}
    if job.protocol.initial_weights == "common":
        start_common_layers_equal(list(fleet.values()))
    return fleet


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


def _member(members: Mapping[str, Member], version: str) -> Member:
    return members.get(version, Member(version))


def _build(job: Job, card: Mapping[str, Any], member: Member, *stream: str | int) -> nn.Module:
    generator = rng.torch_stream(job.cell.seed, "initial", job.cell.family, member.version, *stream)
    shape, classes = tuple(card["shape"]), len(card["classes"])
    options = planning.member_options(job.cell.family, member, job.family_options)
    return models.build(job.cell.family, member.version, shape, classes, options, generator)


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


def initial_digest(federation: Federation) -> str:
    """SHA-256 over the initial numbers of every client, or of every version where clients of one start equal."""
    total = hashlib.sha256()
    own = federation.protocol.initial_weights == "per_client"
    first = {client.id if own else client.version: client for client in reversed(federation.clients)}
    for client in reversed(first.values()):
        for tensor in federation.server.initial(client).state().values():
            total.update(tensor.numpy().tobytes())
    return total.hexdigest()
