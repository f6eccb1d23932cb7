"""A client of the federation, its turn in a round, and which samples it trains on in which order."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexifed.data.transforms import Transform
from flexifed.settings import rng
from flexifed.settings.protocol import Protocol
from flexifed.sharing.layers import Chain
from flexifed.system.errors import UserError
from flexifed.training.weights import Layout, Weights


@dataclass(frozen=True)
class Fields:
    """Samples of several arrays, by name, each `[N, ...]`; indexed as one array is."""

    arrays: Mapping[str, Tensor]

    def __getitem__(self, indices: Tensor) -> Mapping[str, Tensor]:
        """The arrays of these samples."""
        return {name: array[indices] for name, array in self.arrays.items()}


@dataclass(frozen=True)
class Samples:
    """One split of a data set, whole, on the training device.

    Attributes:
        inputs: `[N, ...]`, in the stored dtype; for samples of several arrays `Fields`.
        labels: int64 `[N]`.
        groups: int32 `[N]`, the user (or speaker, writer) of each sample, in main memory; None where there are none.
    """

    inputs: Tensor | Fields
    labels: Tensor
    groups: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A client, and the samples it holds. Its numbers are the server's and its store's, see `flexifed.training.server`.

    Attributes:
        id: 0 .. clients - 1.
        version: version of the family, e.g. `V1`.
        chain: the model's layers in execution order.
        layout: where each tensor lies in the vector of its numbers.
        train: int64 `[n]`, indices into the training split, in the order that the slices walk.
        test: int64 `[m]`, indices into the test split.
    """

    id: int
    version: str
    chain: Chain
    layout: Layout
    train: np.ndarray[Any, np.dtype[np.int64]]
    test: np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Turn:
    """A participant with its model under way: what engines train and test.

    Attributes:
        client: whose turn it is.
        weights: the numbers of its model, as downloaded at first.
        velocity: the momentum at the end of its last round, zero at first, laid out as the weights; None where each
            round begins with a new optimiser.
        number: of the client's turns, counted from 1; None where that is the round's.
    """

    client: Client
    weights: Weights
    velocity: Weights | None = None
    number: int | None = None


@dataclass(frozen=True)
class Batch:
    """One SGD step's samples.

    Attributes:
        indices: int64 `[b]`, into the training split.
        draws: the transform's random choices for these samples, each `[b, ...]`.
    """

    indices: Tensor
    draws: dict[str, Tensor]


WRAP = 2500
"""Where the slice pointer of the authors' script wraps, whatever the size of a client's list."""


def slice_of(order: np.ndarray, turn: int, slices: int, pointer: str = "walking") -> np.ndarray:
    """The part of a client's list that a turn trains on: slice `(turn - 1) mod slices` of near-equal slices.

    The authors' script takes a tenth each round and wraps at a hard-coded 2,500, which is right for CIFAR-10 only;
    "walking" is the same walk for any size.

    Args:
        order: `[n]`, the client's list.
        turn: the client's, counted from 1; where everybody takes part in every round, the round.
        slices: how many slices a pass over the list takes; at most `n` of them hold samples.
        pointer: "walking"; "frozen" for the first slice in every round; or "wraps_at_2500" for the authors' own walk,
            which reaches 64 % of a list of 4,500.

    Raises:
        UserError: the authors' pointer stands behind the end of the list.
    """
    slices = min(slices, len(order))
    if pointer == "wraps_at_2500":
        return _authors_slice(order, turn, len(order) // slices)
    return np.array_split(order, slices)[0 if pointer == "frozen" else (turn - 1) % slices]


def _authors_slice(order: np.ndarray, turn: int, size: int) -> np.ndarray:
    start = (turn - 1) * size % WRAP
    if start >= len(order):
        raise UserError(
            f"the slice pointer stands at {start:,} of a list of {len(order):,} samples, since it wraps at {WRAP:,} as "
            "in the authors' script; use `slice_pointer: walking`."
        )
    return order[start : start + size]


def batches(
    client: Client, transform: Transform, protocol: Protocol, seed: int, round_number: int, turn: int | None = None
) -> Iterator[Batch]:
    """Every SGD step of a client's local round, with all of its random choices.

    The choices come from the stream `(seed, "local", client, round)` alone, so they are the same for every strategy,
    for every engine and after a resume, whoever else takes part. `turn` counts the client's own rounds from 1, for the
    slice pointer; by default it was in every round.
    """
    generator = rng.stream(seed, "local", client.id, round_number)
    part = slice_of(client.train, turn or round_number, protocol.slices, protocol.slice_pointer)
    size = step_size(protocol, len(part))
    steps = protocol.local_steps
    passes = (_pass(part, generator, transform, protocol.shuffle) for _ in range(_passes(protocol, len(part))))
    if steps is None:
        for whole in passes:
            yield from _cut(whole, size, len(part))
    else:
        yield from _cut(_joined(list(passes)), size, steps * size)


def _pass(part: np.ndarray, generator: np.random.Generator, transform: Transform, shuffle: bool) -> Batch:
    order = generator.permutation(part) if shuffle else part
    draws = {name: torch.from_numpy(values) for name, values in transform.draw(generator, len(order)).items()}
    return Batch(torch.from_numpy(order), draws)


def _joined(passes: Sequence[Batch]) -> Batch:
    draws = {name: torch.cat([one.draws[name] for one in passes]) for name in passes[0].draws}
    return Batch(torch.cat([one.indices for one in passes]), draws)


def _cut(whole: Batch, size: int, end: int) -> Iterator[Batch]:
    """Steps of so many samples, up to the sample `end`; the last one may be smaller."""
    for start in range(0, end, size):
        step = slice(start, min(start + size, end))
        yield Batch(whole.indices[step], {name: values[step] for name, values in whole.draws.items()})


def _passes(protocol: Protocol, n: int) -> int:
    """How many passes over `n` samples a turn takes, the last one perhaps not to its end."""
    if protocol.local_steps is None:
        return protocol.local_epochs
    return math.ceil(protocol.local_steps * step_size(protocol, n) / n)


def samples_of_turn(client: Client, protocol: Protocol) -> int:
    """How many samples go through the model in a client's first turn; in later ones as many, or some fewer."""
    n = len(slice_of(client.train, 1, protocol.slices, protocol.slice_pointer))
    return protocol.local_epochs * n if protocol.local_steps is None else protocol.local_steps * step_size(protocol, n)


def step_size(protocol: Protocol, n: int) -> int:
    """Samples that go through the model together, of so many."""
    return n if protocol.batch_size == "all" else min(protocol.batch_size, n)
