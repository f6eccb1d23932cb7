"""Iterative magnitude pruning in the cloud: train on a proxy set, remove the smallest weights, train on, and again.

The rule is that of Han et al. 2015 (training goes on from the weights that are left) or of lottery tickets (Frankle &
Carbin 2019: it begins again from the initial weights; Frankle et al. 2019: from those of an early epoch).

The proxy set is a part of the training data; the test split is not read. It is trained on as a federation of one client
is, whose rounds are epochs.
"""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flexifed.data import samples
from flexifed.elastic import masks
from flexifed.elastic.masks import Masks
from flexifed.engines import fast
from flexifed.selection.uniform import Uniform
from flexifed.settings import registry, rng
from flexifed.settings.job import Job
from flexifed.settings.protocol import Protocol, Pruning
from flexifed.sharing.layers import chain
from flexifed.sharing.plan import Plan, layer_names
from flexifed.system.errors import UserError
from flexifed.training import federation, initial, precision, weights
from flexifed.training.attendance import Attendance
from flexifed.training.client import Client, Turn
from flexifed.training.engine import Federation
from flexifed.training.rules import Mean
from flexifed.training.server import Server
from flexifed.training.weights import Weights

log = logging.getLogger("flexifed")

HELD_OUT = 0.2
"""The share of the proxy set that measures accuracy and trains nothing."""


def make_masks(job: Job, prepared: Path, settings: Pruning, out: Path, device: torch.device | None = None) -> None:
    """Prune the largest version of a job's family and write its masks.

    They depend on the job's data set, family, versions, optimiser, batch size and seed, and on no strategy and no
    engine.

    Args:
        job: whose family, data set, protocol and seed.
        prepared: folder of the prepared data set.
        settings: of pruning.
        out: file to write.
        device: by default a GPU if there is one.

    Raises:
        UserError: the settings cannot be followed, training diverged, or the file system refuses.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with precision.applied("float32"):
        masks.write(iterate(proxy(job, prepared, settings.proxy, device), settings), out)


# One step


def prune(
    weights: Mapping[str, Tensor], removed: Mapping[str, Tensor], *, number: int, fraction: float, scope: str
) -> dict[str, Tensor]:
    """Remove a share of the values that are left: those of the smallest magnitude, of equal ones the first.

    Exactly `round(fraction * left)` go, in every layer or altogether, but each layer keeps one value at least: its
    largest, of equal ones the last. Where this leaves fewer that may go, all of those go.

    Args:
        weights: by key, at least those of `removed`; those that are left are numbers.
        removed: see `Masks.removed`.
        number: of this round of pruning, from 1.
        fraction: of the values left, 0 .. 1.
        scope: `layer` or `global`.

    Returns:
        What is removed now; nothing is changed.
    """
    if scope == "layer":
        alone = ({key: one} for key, one in removed.items())
        pruned = [prune(weights, one, number=number, fraction=fraction, scope="global") for one in alone]
        return {key: one for layer in pruned for key, one in layer.items()}
    before = torch.cat([one.flatten() for one in removed.values()])
    sizes = [one.numel() for one in removed.values()]
    magnitudes = torch.cat([weights[key].detach().cpu().flatten().abs() for key in removed])
    left = before == 0
    may_go = left.clone()
    for layer, held, values in zip(may_go.split(sizes), left.split(sizes), magnitudes.split(sizes), strict=True):
        layer[_last_of_largest(values, held)] = False
    places = may_go.nonzero().squeeze(1)
    order = torch.argsort(magnitudes[places], stable=True)
    after = before.clone()
    after[places[order[: round(fraction * int(left.sum()))]]] = number
    return {key: one.view(removed[key].shape) for key, one in zip(removed, after.split(sizes), strict=True)}


def _last_of_largest(values: Tensor, among: Tensor) -> Tensor:
    """The place of the largest value among those marked; of equal ones the last."""
    return (among & (values == values[among].max())).nonzero()[-1]


# Rounds


def iterate(alone: Federation, settings: Pruning) -> Masks:
    """Train, prune and train on, round after round.

    Args:
        alone: a federation of one client, see `proxy`.
        settings: of pruning.

    Returns:
        The masks of all rounds; with a tolerance, of those before the first one whose accuracy is outside it.

    Raises:
        UserError: training diverged.
    """
    early = settings.rewind_epochs if settings.between == "rewind" else 0
    assert early < settings.epochs, "flexifed.settings.checks refuses it"
    (client,) = alone.clients
    now = _copy(alone.server.initial(client), alone.device)
    removed = masks.nothing_removed(masks.prunable(alone.models[client.version]))
    _train(alone, now, removed, range(1, early + 1))
    rewound = _copy(now, alone.device)
    accuracies: list[float] = []
    epochs = settings.epochs - early
    for number in range(settings.rounds + 1):
        before = removed
        if number:
            fraction, scope = settings.fraction, settings.scope
            removed = prune(now.state(), removed, number=number, fraction=fraction, scope=scope)
            if settings.between == "rewind":
                now.copy_(rewound)
            _set_to_zero(now, removed)
        first = 1 + early + number * epochs
        _train(alone, now, removed, range(first, first + epochs))
        accuracy = _accuracy(alone, now)
        log.info("pruning, round %d of %d: accuracy %.4f", number, settings.rounds, accuracy)
        if number and settings.tolerance is not None and accuracy < accuracies[0] - settings.tolerance:
            removed = before
            break
        accuracies.append(accuracy)
    return Masks(alone.plan.family, client.version, removed, tuple(accuracies))


def _train(alone: Federation, now: Weights, removed: Mapping[str, Tensor], epochs: range) -> None:
    """Epochs of SGD, the momentum zero before the first, on the values that are not removed."""
    (client,) = alone.clients
    kept = {key: one == 0 for key, one in removed.items()}
    mask = masks.as_weights(kept, client.layout, alone.device)
    engine = fast.Fast(dataclasses.replace(alone, masks={client.version: mask}))
    velocity = Weights(now.layout, torch.zeros_like(now.values), torch.zeros_like(now.counters))
    for number in epochs:
        engine.train(number, [Turn(client, now, velocity)])
    if not bool(now.values.isfinite().all()):
        raise UserError(
            f"pruning: training {alone.plan.family} {client.version} on the proxy set diverged by epoch "
            f"{epochs[-1]}. Lower `optimiser.learning_rate`."
        )


def _accuracy(alone: Federation, now: Weights) -> float:
    (found,) = fast.Fast(alone).test([Turn(alone.clients[0], now)])
    return found.means["accuracy"]


def _set_to_zero(now: Weights, removed: Mapping[str, Tensor]) -> None:
    state = now.state()
    for key, one in removed.items():
        state[key][(one > 0).to(now.values.device)] = 0


def _copy(numbers: Weights, device: torch.device) -> Weights:
    return Weights(numbers.layout, numbers.values.clone().to(device), numbers.counters.clone().to(device))


# The proxy set


def proxy(job: Job, prepared: Path, share: float, device: torch.device) -> Federation:
    """A federation of one client, whose samples are the proxy set and whose model is the largest version.

    The model's initial numbers are those of the job's clients of this version, where these start equal `per_version`.
    Which samples are drawn depends on the seed alone.

    Args:
        job: whose family, data set, protocol and seed.
        prepared: folder of the prepared data set; its test split is not read.
        share: of the training data.
        device: where to train.

    Raises:
        UserError: the proxy set is too small.
    """
    largest = registry.constant("family", job.cell.family, "VERSIONS")[-1]
    settings = _protocol(job.protocol, largest)
    held = drawn(samples.read(prepared, "train"), share, job.cell.seed)
    n = len(held.labels)
    n_test = max(round(HELD_OUT * n), 1)
    alone = dataclasses.replace(job, protocol=settings)
    (built,) = initial.build_models(alone, samples.read_card(prepared), {}).items()
    version, model = built
    layers = chain(model)
    layout = weights.layout(model, layers)
    client = Client(0, version, layers, layout, np.arange(n - n_test), np.arange(n - n_test, n))
    start = initial.whole_initial_weights({version: model}, {version: layout})[version]
    seed = rng.torch_seed(job.cell.seed, "pruning")
    here = federation.on_device(held, device)
    return Federation(
        clients=[client],
        server=Server([client], (), Mean(), lambda _: start, device),
        models={version: model.to(device)},
        train=here,
        test=here,
        transform=registry.load("dataset", job.cell.dataset).TRANSFORM,
        plan=Plan(job.cell.family, "pruning", "none", (version,), {version: layer_names(layers)}, ()),
        protocol=settings,
        seed=seed,
        device=device,
        precision="float32",
        task=registry.load("task", job.task).TASK,
        attendance=Attendance([client], settings, Uniform, seed, None, (0,)),
    )


def drawn(train: samples.Split, share: float, seed: int) -> samples.Split:
    """A share of a training split, in random order.

    Raises:
        UserError: these are too few.
    """
    n = round(share * len(train.labels))
    if n < 2:
        raise UserError(
            f"pruning: `proxy` is {share:g}, which of {len(train.labels):,} training samples is {n}: too few to train "
            "on and to measure on. Take a larger share."
        )
    chosen = rng.stream(seed, "proxy").permutation(len(train.labels))[:n]
    return samples.Split(train.samples[chosen], train.labels[chosen], None)


def _protocol(of_job: Protocol, version: str) -> Protocol:
    """One pass of one client over its samples in each round, as the job's clients take their steps."""
    return Protocol(
        clients=1,
        versions=(version,),
        slices=1,
        local_epochs=1,
        batch_size=of_job.batch_size,
        optimiser=of_job.optimiser,
    )
