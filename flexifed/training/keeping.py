"""Which weights of a run are kept: those of the last round, or of the best one.

Weights are taken as they are when the number that counts is measured: after aggregation or before it, as the
protocol's final number says, and before the test in training mode, which may move the running statistics. They are
those of the models that were tested then: of the round's participants, or one of each where several hold the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor

from flexifed.training import weights
from flexifed.training.client import Turn
from flexifed.training.engine import Federation
from flexifed.training.history import History
from flexifed.training.weights import Weights

Kept = Literal["final", "best"]
"""The models of the last round; or of the best one, see `flexifed.settings.job.KeepModels`."""


class Keeper:
    """The weights of the models that are kept.

    Attributes:
        federation: whose clients they are.
        kept: `final` or `best`.
        phase: `local` or `aggregated`: when in the round.
        metric: the task's, in which the best round is best, and which a kept model is said to reach, in `eval()`.
        weights: by client, in main memory (or a file, see `weights.vectors`).
        round: which one; 0 where none was evaluated yet.
    """

    def __init__(self, federation: Federation, kept: Kept) -> None:
        self.federation, self.kept = federation, kept
        self.phase, self.metric = federation.protocol.final.phase, federation.task.METRIC
        self.weights: dict[int, Weights] = {}
        self.tested: dict[int, Weights] = {}
        self.round = 0
        self.total = -1.0

    def go_on(self, history: History) -> None:
        """Go on with a run that has this history, after `tensors` have been filled from its checkpoint."""
        if self.kept == "best":
            self.round, self.total = best(history, self.phase, self.metric)

    def consider(self, round_number: int, phase: str, turns: Sequence[Turn]) -> None:
        """Take over weights that have just been tested, in case that the round is the one to keep."""
        if phase == self.phase and (self.kept == "best" or round_number == self.federation.protocol.rounds):
            for turn in turns:
                mine = self._room(turn.client.id)
                mine.copy_(turn.weights)
                self.tested[turn.client.id] = mine

    def settle(self, round_number: int, phase: str, total: float) -> None:
        """Keep what was tested in this round's phase, if that is to be kept; `total`: its metric over all clients."""
        if self.tested and phase == self.phase and (self.kept == "final" or total > self.total):
            self.round, self.total, self.weights = round_number, total, self.tested
        self.tested = {}

    def _room(self, client: int) -> Weights:
        server = self.federation.server
        (room,) = weights.allocate([self.federation.clients[client].layout], torch.device("cpu"), server.dtype)
        return room

    def described(self) -> dict[str, Any]:
        """What a checkpoint must say of the tensors that it holds; nothing where the last round's models are kept."""
        return {"clients": sorted(self.weights)} if self.kept == "best" else {}

    def make_room(self, described: Mapping[str, Any]) -> None:
        """Be as a keeper was that gave this description, but for the numbers."""
        self.weights = {client: self._room(client) for client in described["clients"]}

    def tensors(self) -> dict[str, Tensor]:
        """The numbers of the models kept so far, by name."""
        found: dict[str, Tensor] = {}
        for client, mine in sorted(self.weights.items()):
            found |= {f"client{client:06}.values": mine.values, f"client{client:06}.counters": mine.counters}
        return found


def best(history: History, phase: str, metric: str) -> tuple[int, float]:
    """The first round with the highest metric over all clients, and the sum of it; (0, -1) where none is evaluated.

    Args:
        history: of the run.
        phase: `local` or `aggregated`.
        metric: of the task.
    """
    totals: dict[int, float] = {}
    for (round_number, _), value in measured(history, phase, metric).items():
        totals[round_number] = totals.get(round_number, 0) + value
    return max(totals.items(), key=lambda entry: entry[1], default=(0, -1.0))


def measured(history: History, phase: str, metric: str) -> dict[tuple[int, int], float]:
    """A metric in `eval()` by round and client, in the order in which it was measured."""
    columns = history.columns()
    rows = zip(*(columns[name] for name in ("round", "client", "phase", "metric", "value")), strict=True)
    found = {(r, c): value for r, c, when, what, value in rows if (when, what) == (phase, metric)}
    return cast(dict[tuple[int, int], float], found)
