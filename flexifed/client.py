"""A client of the federation, and which samples it trains on in which order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flexifed import rng
from flexifed.layers import Layer
from flexifed.protocol import Protocol
from flexifed.transforms import Transform
from flexifed.weights import Weights


@dataclass(frozen=True)
class Samples:
    """One split of a data set, whole, on the training device.

    Attributes:
        inputs: `[N, ...]`, in the stored dtype (uint8, int16 or float16).
        labels: int64 `[N]`.
    """

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Client:
    """A client: the numbers of its model and the samples it holds.

    Attributes:
        id: 0 .. clients - 1.
        version: version of the family, e.g. `V1`.
        chain: the model's layers in execution order.
        train: int64 `[n]`, indices into the training split, in the order that the slices walk.
        test: int64 `[m]`, indices into the test split.
    """

    id: int
    version: str
    chain: tuple[Layer, ...]
    weights: Weights
    train: np.ndarray[Any, np.dtype[np.int64]]
    test: np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Batch:
    """One SGD step's samples.

    Attributes:
        indices: int64 `[b]`, into the training split.
        draws: the transform's random choices for these samples, each `[b, ...]`.
    """

    indices: Tensor
    draws: dict[str, Tensor]


def slice_of(order: np.ndarray, round_number: int, slices: int) -> np.ndarray:
    """The part of a client's list that a round trains on: slice `(round - 1) mod slices` of near-equal slices.

    The authors' script takes a tenth each round and wraps at a hard-coded 2,500, which is right for CIFAR-10 only; this
    is the same walk for any size.

    Args:
        order: `[n]`, the client's list.
        round_number: counted from 1.
        slices: how many slices a pass over the list takes; at most `n` of them hold samples.
    """
    slices = min(slices, len(order))
    return np.array_split(order, slices)[(round_number - 1) % slices]


def batches(client: Client, transform: Transform, protocol: Protocol, seed: int, round_number: int) -> Iterator[Batch]:
    """Every SGD step of a client's local round, with all of its random choices.

    The choices come from the stream `(seed, "local", client, round)` alone, so they are the same for every strategy,
    for every engine and after a resume.
    """
    generator = rng.stream(seed, "local", client.id, round_number)
    part = slice_of(client.train, round_number, protocol.slices)
    for _ in range(protocol.local_epochs):
        order = generator.permutation(part) if protocol.shuffle else part
        draws = {name: torch.from_numpy(values) for name, values in transform.draw(generator, len(order)).items()}
        indices = torch.from_numpy(order)
        for start in range(0, len(order), protocol.batch_size):
            step = slice(start, start + protocol.batch_size)
            yield Batch(indices[step], {name: values[step] for name, values in draws.items()})
