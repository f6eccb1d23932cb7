"""How a federation's clients are trained: the seam between the round loop and the machine.

An engine is a file of this folder with a function ``create(federation: Federation) -> Engine`` and a constant
`PRECISIONS`, the precisions it offers (see `flexifed.precision`). Every engine takes its batches and random choices
from `flexifed.client.batches`, so engines differ in speed and rounding and in nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol as Interface

import torch
from torch import nn

from flexifed.client import Client, Samples
from flexifed.plan import Plan
from flexifed.protocol import Protocol
from flexifed.transforms import Transform


@dataclass(frozen=True)
class Federation:
    """All that training needs; an engine may change the clients' weights and nothing else.

    Attributes:
        models: one for each version; which client's numbers it holds is up to the engine.
        precision: one of the engine's `PRECISIONS`.
    """

    clients: list[Client]
    models: Mapping[str, nn.Module]
    train: Samples
    test: Samples
    transform: Transform
    plan: Plan
    protocol: Protocol
    seed: int
    device: torch.device
    precision: str


@dataclass(frozen=True)
class Evaluation:
    """A client's model on its test samples.

    Attributes:
        accuracy: 0 .. 1, in `eval()`.
        loss: mean cross-entropy in nats, in `eval()`.
        accuracy_train_mode: 0 .. 1, with dropout and batch statistics as in the authors' script; None if not asked for.
    """

    accuracy: float
    loss: float
    accuracy_train_mode: float | None


class Engine(Interface):
    """Trains and averages all clients of one federation."""

    def train(self, round_number: int) -> list[float]:
        """Train every client on its slice of this round (counted from 1); returns each client's mean training loss."""
        ...

    def aggregate(self) -> None:
        """Replace what the plan averages by its mean."""
        ...

    def evaluate(self, round_number: int, *, train_mode: bool) -> list[Evaluation]:
        """Test every client's model on the client's test samples, without changing it."""
        ...
