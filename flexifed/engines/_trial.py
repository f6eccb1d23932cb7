"""Whether a workspace computes what it should: a client's first two steps, held against the same steps run otherwise.

Two steps on different batches, since a recording may play back the batch, the weights or the random numbers that it was
made with; and then both tests. Everything is done to a copy of a client, and a workspace begins every client anew, so
nothing stays of it.

How far rounding alone drives two such runs apart depends on the model: where an activation is next to zero, or two are
next to equal, it decides whole gradients (docs/speed.md). So it is measured: the serial steps are run again from
weights that are off by a rounding of the precision.
"""

import dataclasses

import torch
from torch import Tensor

from flexifed.engines._workspace import Workspace
from flexifed.engines.serial import Serial
from flexifed.settings import rng
from flexifed.training import precision
from flexifed.training.client import Client, Turn, batches, slice_of, step_size
from flexifed.training.engine import Federation, working_on
from flexifed.training.weights import Weights

Outcome = dict[str, Tensor]
"""What two steps and the tests came to: float64 vectors on the CPU, by name."""

STEPS = 2

ROUNDING = {"float32": 2.0**-23, "tf32": 2.0**-10, "bfloat16": 2.0**-8}
"""By precision, how far apart two neighbouring numbers are, as a share of them."""

LEAST = {"float32": 0.02, "tf32": 0.05, "bfloat16": 0.2}
"""What is allowed in any case, as a share of a vector's norm: the rounding of all that is not a weight."""

RUNS = 3
"""With the weights rounded, each in its own way: what is next to equal is not turned over by every rounding."""

FACTOR = 10
"""How much more than the largest effect of rounding the weights is allowed: all that follows is rounded."""

SAME_KERNELS = 0.1
"""The share of that which is allowed between runs of the same kernels, where only the order of sums is open."""


def of_serial(whole: Federation, client: Client, run: int = 0) -> Outcome:
    """What the serial engine, the definition, makes of the client in float32.

    Args:
        whole: the client's federation.
        client: begins with its initial numbers, which are left as they are.
        run: 0, or the number of a run with each weight off by less than `ROUNDING`, from 1.
    """
    alone, turn = _alone(whole, client)
    if run:
        _round(alone, turn, run)
    start = _copy(turn.weights, whole.device)
    engine = Serial(alone)
    with precision.applied("float32"):
        loss = torch.tensor([found.loss for found in engine.train(1, [turn])])
        outcome = _moved(alone, turn, start, loss)
        (tested,) = engine.test([turn])
    return outcome | {"test loss": torch.tensor([tested.means["loss"]]).double()}


def of_workspace(workspace: Workspace, whole: Federation, client: Client) -> Outcome:
    """What a workspace for the client's version makes of the client.

    Raises:
        UserError: the steps cannot be recorded, or memory was not enough.
    """
    alone, turn = _alone(whole, client)
    start = _copy(turn.weights, whole.device)
    steps = list(batches(turn.client, whole.transform, alone.protocol, whole.seed, 1))
    with working_on(client), workspace.turn():
        loss = workspace.follow(turn, steps, 1)
        outcome = _moved(alone, turn, start, loss[:1])
        (at,) = (i for i, name in enumerate(whole.task.MEANS) if name == "loss")
        outcome["test loss"] = workspace.test(turn)[at].view(1).double().cpu()
        outcome["test loss in training mode"] = workspace.test_train_mode(turn, 1)[at].view(1).double().cpu()
    workspace.join()
    return outcome


def tolerances(whole: Federation, client: Client, serial: Outcome) -> dict[str, float]:
    """What rounding explains between the serial steps and others, by name, as a share of the vector's norm."""
    rounded = [of_serial(whole, client, run) for run in range(1, RUNS + 1)]
    off = {name: max(_off(other[name], serial[name]) for other in rounded) for name in serial}
    return {name: max(LEAST[whole.precision], FACTOR * share) for name, share in off.items()}


def disagreement(ours: Outcome, theirs: Outcome, tolerance: dict[str, float], share: float = 1.0) -> str | None:
    """Where ours is further from theirs than this share of the tolerance, in words; None where nothing is.

    What is not in `tolerance` may be as far apart as the test loss. Where theirs are not finite, training will say so.
    """
    if not all(bool(vector.isfinite().all()) for vector in theirs.values()):
        return None
    for name in theirs:
        off, allowed = _off(ours[name], theirs[name]), share * tolerance.get(name, tolerance["test loss"])
        if not off <= allowed:
            return f"{name}: off by {off:.2g} of its size, where rounding explains {allowed:.2g}"
    return None


def _off(ours: Tensor, theirs: Tensor) -> float:
    """The distance as a share of theirs."""
    distance, size = float((ours - theirs).norm()), float(theirs.norm())
    return distance / size if size else distance


def _alone(whole: Federation, client: Client) -> tuple[Federation, Turn]:
    """A federation of this client alone, whose round is the beginning of the client's first one; and its turn in it."""
    protocol = whole.protocol
    part = slice_of(client.train, 1, protocol.slices, protocol.slice_pointer)
    first = dataclasses.replace(client, train=part[: STEPS * step_size(protocol, len(part))])
    weights = _copy(whole.server.initial(client), whole.device)
    nothing = Weights(weights.layout, torch.zeros_like(weights.values), torch.zeros_like(weights.counters))
    once = dataclasses.replace(protocol, slices=1, slice_pointer="walking", local_epochs=1)
    return dataclasses.replace(whole, clients=[first], protocol=once), Turn(first, weights, nothing)


def _round(alone: Federation, turn: Turn, run: int) -> None:
    values = turn.weights.values
    noise = torch.rand(values.shape, generator=rng.torch_stream(alone.seed, "trial", turn.client.id, run))
    values.mul_((1 + ROUNDING[alone.precision] * (2 * noise - 1)).to(alone.device))


def _copy(weights: Weights, device: torch.device) -> Weights:
    values, counters = (tensor.clone().to(device) for tensor in (weights.values, weights.counters))
    return Weights(weights.layout, values, counters)


def _moved(alone: Federation, turn: Turn, start: Weights, loss: Tensor) -> Outcome:
    """How far training has moved the numbers of the only client, and how large that is, whatever its direction."""
    assert turn.velocity is not None
    old, new = start.state(), turn.weights.state()
    changes = {key: (new[key] - old[key]).double().flatten().cpu() for key in start.layout.slots}
    trained = dict(alone.models[turn.client.version].named_parameters())
    weights = torch.cat([change for key, change in changes.items() if key in trained])
    statistics = [torch.zeros(0).double(), *(change for key, change in changes.items() if key not in trained)]
    momentum = turn.velocity.values.double().cpu()
    return {
        "training loss": loss.double().cpu(),
        "running statistics": torch.cat(statistics),
        "batches counted": (turn.weights.counters - start.counters).double().cpu(),
        "size of the weights' change": weights.norm().view(1),
        "size of the momentum": momentum.norm().view(1),
        "weights' change": weights,
        "momentum": momentum,
    }
