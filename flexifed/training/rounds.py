"""The rounds of a federation: who takes part, local training, uploads, the server's step, and the tests in between."""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from flexifed.system.errors import UserError
from flexifed.system.progress import RoundProgress
from flexifed.training.client import Client, Turn
from flexifed.training.engine import Engine, Evaluation, Federation, Trained
from flexifed.training.history import TOGETHER, History
from flexifed.training.keeping import Keeper
from flexifed.training.measured import Measured


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
    metric: float | None = None
    for round_number in range(done + 1, federation.protocol.rounds + 1):
        try:
            metric = Round(federation, engine, round_number, history, keeper).run() or metric
        except UserError as error:
            raise type(error)(f"round {round_number}: {error}") from error
        progress(round_number, metric)
        after_round(round_number)


class Round:
    """One round."""

    def __init__(
        self, federation: Federation, engine: Engine, number: int, history: History, keeper: Keeper | None
    ) -> None:
        protocol = federation.protocol
        self.federation, self.engine, self.number = federation, engine, number
        self.history, self.keeper = history, keeper
        self.evaluated = number % protocol.evaluate_every == 0 or number == protocol.rounds
        self.tests = protocol.tests if self.evaluated else ()
        self.cohort = federation.attendance.cohort(number, self._losses)
        self.tested = federation.clients if protocol.tested == "all" else self.cohort

    def run(self) -> float | None:
        """Run it; returns the mean of the task's metric after aggregation where it is tested."""
        trained, tested = self._local()
        self.federation.attendance.learn(self.number, trained)
        if self.evaluated:
            for client in self.cohort:
                self._add(client, "local", "train_loss", trained[client.id].loss)
            self._record("local", self.cohort, tested, {})
            self._record_clock()
        self.federation.server.step()
        return self._aggregated()

    def _losses(self, clients: Sequence[int]) -> list[float]:
        """Of the models that these clients would download now, on their own training samples."""
        found: list[float] = []
        for crew in crews([self.federation.clients[client] for client in clients], self.engine.together):
            found += self.engine.losses(self.federation.server.download(crew))
        return found

    def _local(self) -> tuple[dict[int, Trained], dict[int, Evaluation]]:
        """Every participant's turn; returns what training came to, and tests where they are wanted, by client."""
        server = self.federation.server
        trained: dict[int, Trained] = {}
        tested: dict[int, Evaluation] = {}
        for crew in crews(self.cohort, self.engine.together):
            turns = server.download(crew)
            before = self.engine.losses(turns) if server.loss == "at_download" else []
            found = self.engine.train(self.number, turns)
            _check_finite(crew, found)
            trained |= {client.id: one for client, one in zip(crew, found, strict=True)}
            if "local" in self.tests:
                tested |= self._test("local", turns)
            server.upload(turns, before or [one.loss for one in found])
        return trained, tested

    def _aggregated(self) -> float | None:
        """The tests after the server's step; returns the mean of the metric in `eval()`, where there is one."""
        protocol, server = self.federation.protocol, self.federation.server
        moves = protocol.test_updates_statistics  # the authors' script then tests in every round
        train_mode = "train_mode" in self.tests or moves
        if not (train_mode or "aggregated" in self.tests):
            return None
        tested: dict[int, Evaluation] = {}
        in_train_mode: dict[int, Evaluation] = {}
        alike = self._alike()
        whom = [c for c in self.tested if train_mode or alike[c.id] is c]
        for crew in crews(whom, self.engine.together):
            turns = server.download(crew, whole=protocol.test_set == "whole")
            if "aggregated" in self.tests:
                tested |= self._test("aggregated", turns)
            if train_mode:
                found = self.engine.test_train_mode(self.number, turns)
                in_train_mode |= {turn.client.id: one for turn, one in zip(turns, found, strict=True)}
                if moves:
                    server.keep_statistics(turns)
        if "aggregated" in self.tests:
            tested = {c.id: tested[c.id if c.id in tested else alike[c.id].id] for c in self.tested}
        recorded = self._record("aggregated", self.tested, tested, in_train_mode if "train_mode" in self.tests else {})
        return sum(recorded) / len(recorded) if recorded else None

    def _alike(self) -> dict[int, Client]:
        """Of each tested client, the first one whose test has the same outcome, by id: equal models and samples."""
        first: dict[Hashable, Client] = {}
        whole = self.federation.protocol.test_set == "whole"
        same_model = self.federation.server.same_model
        return {c.id: first.setdefault(same_model(c) if whole else c.id, c) for c in self.tested}

    def _test(self, phase: str, turns: Sequence[Turn]) -> dict[int, Evaluation]:
        evaluations = self.engine.test(turns)
        if self.keeper:
            self.keeper.consider(self.number, phase, turns)
        return {turn.client.id: evaluation for turn, evaluation in zip(turns, evaluations, strict=True)}

    def _record(
        self,
        phase: str,
        clients: Sequence[Client],
        tested: Mapping[int, Evaluation],
        in_train_mode: Mapping[int, Evaluation],
    ) -> list[float]:
        """Add what was measured to the history; returns the task's metric in `eval()`, wherever there is one."""
        name, found = self.federation.task.METRIC, []
        measured = Measured(self.federation)
        for client in clients:
            metrics = measured.of_client(client, tested[client.id]) if client.id in tested else {}
            found += [metrics[name]] if name in metrics else []
            if client.id in in_train_mode:
                again = measured.of_client(client, in_train_mode[client.id])
                metrics |= {f"{name}_train_mode": again[name]} if name in again else {}
            for metric, value in metrics.items():
                self._add(client, phase, metric, value)
        for version, metrics in measured.together(clients, tested).items():
            found += [metrics[name]] if name in metrics else []
            for metric, value in metrics.items():
                self.history.add(self.number, TOGETHER, version, phase, metric, value)
        if self.keeper:
            self.keeper.settle(self.number, phase, sum(found))
        return found

    def _add(self, client: Client, phase: str, metric: str, value: float) -> None:
        self.history.add(self.number, client.id, client.version, phase, metric, value)

    def _record_clock(self) -> None:
        """Simulated seconds since the start, and how many of those invited were not kept."""
        attendance = self.federation.attendance
        if attendance.clock:
            self.history.add(self.number, TOGETHER, "", "clock", "seconds", attendance.clock.now)
            self.history.add(self.number, TOGETHER, "", "clock", "dropped", len(attendance.dropped))


def crews(clients: Sequence[Client], together: int | None) -> Iterator[Sequence[Client]]:
    """Clients in pieces of at most so many; None: in one."""
    size = together or max(len(clients), 1)
    for first in range(0, len(clients), size):
        yield clients[first : first + size]


def _check_finite(clients: Sequence[Client], trained: Sequence[Trained]) -> None:
    for client, found in zip(clients, trained, strict=True):
        if not math.isfinite(found.loss):
            raise NotFinite(
                f"the training loss of client {client.id} ({client.version}) is {found.loss}; "
                "lower `optimiser.learning_rate` for this data set or family."
            )
