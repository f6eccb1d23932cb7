"""Which weights of a run are kept: those of the last round, or of the best one.

Weights are taken as they are when the accuracy that counts is measured: after aggregation or before it, as the
protocol's final number says, and before the test in training mode, which may move the running statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch

from flexifed.training import weights
from flexifed.training.engine import Engine, Evaluation, Federation, Steps
from flexifed.training.history import History

Kept = Literal["final", "best"]
"""The models of the last round; or of the best one, see `flexifed.settings.job.KeepModels`."""

METRIC = "accuracy"
"""What the best round is best in, and what a kept model is said to reach: the accuracy in `eval()`."""


class Keeper:
    """The weights of every client in the round whose models are kept.

    Attributes:
        federation: whose clients they are.
        kept: `final` or `best`.
        phase: `local` or `aggregated`: when in the round.
        weights: by client, in main memory (or a file, see `weights.allocate`).
        round: which one; 0 where none was evaluated yet.
    """

    def __init__(self, federation: Federation, kept: Kept) -> None:
        self.federation, self.kept = federation, kept
        self.phase = federation.protocol.final.phase
        clients = federation.clients
        dtype = clients[0].weights.values.dtype
        self.weights = weights.allocate([c.weights.layout for c in clients], torch.device("cpu"), dtype)
        self.round = 0
        self.total = -1.0

    def best_so_far(self) -> list[weights.Weights]:
        """What a checkpoint must hold beside the clients' weights: nothing where the last round's models are kept."""
        return self.weights if self.kept == "best" else []

    def go_on(self, history: History) -> None:
        """Go on with a run that has this history, after `best_so_far` has been filled from its checkpoint."""
        if self.kept == "best":
            self.round, self.total = best(history, self.phase)

    def counts(self, round_number: int, train_mode: bool) -> bool:
        """Whether the models of this test may be kept; the test in training mode is the one after aggregation."""
        protocol = self.federation.protocol
        if train_mode != (self.phase == "aggregated"):
            return False
        if round_number == protocol.rounds:
            return True
        return self.kept == "best" and round_number % protocol.evaluate_every == 0

    def consider(self, round_number: int, evaluations: Sequence[Evaluation]) -> None:
        """Take over the clients' weights, which have just been tested, if they are to be kept."""
        total = sum(evaluation.accuracy for evaluation in evaluations)
        if self.kept == "best" and total <= self.total:
            return
        self.round, self.total = round_number, total
        for mine, client in zip(self.weights, self.federation.clients, strict=True):
            mine.values.copy_(client.weights.values)
            mine.counters.copy_(client.weights.counters)


@dataclass(frozen=True)
class Watched:
    """An engine that shows a keeper what is tested, and does nothing else than the engine it is made of."""

    engine: Engine
    keeper: Keeper

    @property
    def steps(self) -> Steps:
        """See `Engine.steps`."""
        return self.engine.steps

    def train(self, round_number: int) -> list[float]:
        """See `Engine.train`."""
        return self.engine.train(round_number)

    def aggregate(self) -> None:
        """See `Engine.aggregate`."""
        self.engine.aggregate()

    def evaluate(self, round_number: int, *, train_mode: bool) -> list[Evaluation]:
        """See `Engine.evaluate`."""
        counts = self.keeper.counts(round_number, train_mode)
        moves = train_mode and self.keeper.federation.protocol.test_updates_statistics
        if counts and moves:  # a test of its own, for after the one in training mode the models are others
            self.keeper.consider(round_number, self.engine.evaluate(round_number, train_mode=False))
        evaluations = self.engine.evaluate(round_number, train_mode=train_mode)
        if counts and not moves:
            self.keeper.consider(round_number, evaluations)
        return evaluations


def best(history: History, phase: str) -> tuple[int, float]:
    """The first round with the highest accuracy over all clients, and the sum of it; (0, -1) where none is evaluated.

    Args:
        history: of the run.
        phase: `local` or `aggregated`.
    """
    totals: dict[int, float] = {}
    for (round_number, _), accuracy in accuracies(history, phase).items():
        totals[round_number] = totals.get(round_number, 0) + accuracy
    return max(totals.items(), key=lambda entry: entry[1], default=(0, -1.0))


def accuracies(history: History, phase: str) -> dict[tuple[int, int], float]:
    """Accuracy (0 .. 1) in `eval()` by round and client, in the order in which they were measured."""
    columns = history.columns()
    rows = zip(*(columns[name] for name in ("round", "client", "phase", "metric", "value")), strict=True)
    found = {(r, c): value for r, c, measured, metric, value in rows if (measured, metric) == (phase, METRIC)}
    return cast(dict[tuple[int, int], float], found)
