"""The rounds of a federation: who takes part, local training, uploads, the server's step, and the tests in between."""

import dataclasses
import math
from collections.abc import Callable, Hashable, Sequence

from flexifed.system.errors import UserError
from flexifed.system.progress import RoundProgress
from flexifed.training.client import Client, Turn
from flexifed.training.cohort import cohort, crews
from flexifed.training.engine import Engine, Evaluation, Federation
from flexifed.training.history import History
from flexifed.training.keeping import Keeper


class NotFinite(UserError):
    """A training loss is not finite: what these settings come to, so that another try would end the same."""


def loop(
    federation: Federation,
    engine: Engine,
    progress: RoundProgress,
    history: History,
    done: int = 0,
    after_round: Callable[[int], None] = lambda round_number: None,
    keeper: Keeper | None = None,
) -> None:
    """The rounds of a federation that are not done yet; what is measured is added to the history.

    Raises:
        UserError: a training loss is not finite, or memory was not enough; names round, client and version.
    """
    accuracy: float | None = None
    for round_number in range(done + 1, federation.protocol.rounds + 1):
        try:
            accuracy = Round(federation, engine, round_number, history, keeper).run() or accuracy
        except UserError as error:
            raise type(error)(f"round {round_number}: {error}") from error
        progress(round_number, accuracy)
        after_round(round_number)


class Round:
    """One round."""

    def __init__(
        self, federation: Federation, engine: Engine, number: int, history: History, keeper: Keeper | None
    ) -> None:
        protocol = federation.protocol
        self.federation, self.engine, self.number = federation, engine, number
        self.history, self.keeper = history, keeper
        self.cohort = cohort(federation.clients, protocol, federation.seed, number)
        self.evaluated = number % protocol.evaluate_every == 0 or number == protocol.rounds
        self.tests = protocol.tests if self.evaluated else ()

    def run(self) -> float | None:
        """Run it; returns the participants' mean accuracy after aggregation where it is tested."""
        losses, tested = self._local()
        if self.evaluated:
            for client, loss in zip(self.cohort, losses, strict=True):
                self.history.add(self.number, client.id, client.version, "local", "train_loss", loss)
            self._record("local", tested, {})
        self.federation.server.step()
        return self._aggregated()

    def _local(self) -> tuple[list[float], dict[int, Evaluation]]:
        """Every participant's turn; returns training losses, and tests by client where they are wanted."""
        server = self.federation.server
        losses: list[float] = []
        tested: dict[int, Evaluation] = {}
        for crew in crews(self.cohort, self.engine.together):
            turns = server.download(crew)
            losses += self.engine.train(self.number, turns)
            _check_finite(crew, losses[-len(crew) :])
            if "local" in self.tests:
                tested |= self._test("local", turns)
            server.upload(turns)
        return losses, tested

    def _aggregated(self) -> float | None:
        """The tests after the server's step; returns the mean accuracy of the one in `eval()`, where there is one."""
        protocol, server = self.federation.protocol, self.federation.server
        moves = protocol.test_updates_statistics  # the authors' script then tests in every round
        train_mode = "train_mode" in self.tests or moves
        if not (train_mode or "aggregated" in self.tests):
            return None
        tested: dict[int, Evaluation] = {}
        in_train_mode: dict[int, float] = {}
        alike = self._alike()
        whom = [c for c in self.cohort if train_mode or alike[c.id] is c]
        for crew in crews(whom, self.engine.together):
            turns = server.download(crew)
            if "aggregated" in self.tests:
                tested |= self._test("aggregated", turns)
            if train_mode:
                accuracies = self.engine.test_train_mode(self.number, turns)
                in_train_mode |= {turn.client.id: found for turn, found in zip(turns, accuracies, strict=True)}
                if moves:
                    server.keep_statistics(turns)
        if "aggregated" in self.tests:
            tested = {c.id: tested[c.id if c.id in tested else alike[c.id].id] for c in self.cohort}
        self._record("aggregated", tested, in_train_mode if "train_mode" in self.tests else {})
        return sum(e.accuracy for e in tested.values()) / len(tested) if tested else None

    def _alike(self) -> dict[int, Client]:
        """Of each participant, the first one whose test has the same outcome, by id: equal models, equal samples."""
        first: dict[Hashable, Client] = {}
        whole = self.federation.protocol.test_set == "whole"
        same_model = self.federation.server.same_model
        return {c.id: first.setdefault(same_model(c) if whole else c.id, c) for c in self.cohort}

    def _test(self, phase: str, turns: Sequence[Turn]) -> dict[int, Evaluation]:
        evaluations = self.engine.test(turns)
        if self.keeper:
            self.keeper.consider(self.number, phase, turns)
        return {turn.client.id: evaluation for turn, evaluation in zip(turns, evaluations, strict=True)}

    def _record(self, phase: str, tested: dict[int, Evaluation], in_train_mode: dict[int, float]) -> None:
        for client in self.cohort:
            found = dataclasses.asdict(tested[client.id]) if client.id in tested else {}
            if client.id in in_train_mode:
                found["accuracy_train_mode"] = in_train_mode[client.id]
            for metric, value in found.items():
                self.history.add(self.number, client.id, client.version, phase, metric, value)
        if self.keeper:
            self.keeper.settle(self.number, phase, [tested[client.id] for client in self.cohort if tested])


def _check_finite(clients: Sequence[Client], losses: Sequence[float]) -> None:
    for client, loss in zip(clients, losses, strict=True):
        if not math.isfinite(loss):
            raise NotFinite(
                f"the training loss of client {client.id} ({client.version}) is {loss}; "
                "lower `optimiser.learning_rate` for this data set or family."
            )
