"""Oort's training selector: clients whose losses are high and whose devices are fast (Lai et al., OSDI 2021).

`Oort.choose` is Algorithm 1. Where FedScale's code differs from the paper, `oort_rules` has both. Our decisions, in
both: the preferred duration T is a percentile of the durations of all clients, as in the authors' code, where Algorithm
1 has seconds; the pacer looks once a window; numbers (quantile, cut-off, floor of the exploration) are options. And
where their code fails: where there are fewer explored or unexplored clients than wanted, the others fill up, then the
black-listed ones, least picked first; and whoever has a utility of 0 is drawn when nobody else is left.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from flexifed.selection.drawing import weighted
from flexifed.selection.oort_rules import FedScale, Numbers, Paper, quantile
from flexifed.selection.selector import Clients, Known, Losses, Report
from flexifed.settings import rng

RULES = {"paper": Paper(), "fedscale": FedScale()}


class Oort:
    """The selector. What it learns: utility, last round, picks and duration of every client; utility of every round."""

    SQUARED_LOSSES: ClassVar[bool] = True

    def __init__(
        self,
        known: Known,
        *,
        variant: Literal["paper", "fedscale"] = "paper",
        exploration: float = 0.9,
        exploration_decay: float = 0.98,
        exploration_floor: float = 0.2,
        uncertainty: float = 0.1,
        penalty: float = 2.0,
        clip: float = 0.95,
        cut_off: float = 0.95,
        pacer_start: float = 30.0,
        pacer_step: float = 5.0,
        pacer_window: int = 20,
        blacklist_after: int = 0,
        blacklist_share: float = 0.3,
    ) -> None:
        """Args:
        known: of K clients.
        variant: which rules, see `oort_rules`.
        exploration: epsilon in the first round, 0..1: the share of unexplored clients.
        exploration_decay: by which it is multiplied after every round, 0..1.
        exploration_floor: below which it does not fall; FedScale 0.3.
        uncertainty: factor of ln(round) / last round in the bonus for clients not seen for long.
        penalty: alpha, the power by which slow clients' utilities fall; 0 ignores durations.
        clip: quantile at which utilities are cut, 0..1; FedScale 0.9.
        cut_off: c, share of the last taken utility from which on clients are in the pool; FedScale 0.05.
        pacer_start: percentile of durations at which the preferred one begins; 100 is no limit.
        pacer_step: Delta, in percent of the clients.
        pacer_window: W, rounds.
        blacklist_after: clients picked more often are left out; 0 for no such list.
        blacklist_share: at most this share of all clients is, the most picked ones.
        """
        self.known, self.rules = known, RULES[variant]
        self.exploration, self.decay, self.floor = exploration, exploration_decay, exploration_floor
        self.uncertainty, self.penalty, self.clip, self.cut_off = uncertainty, penalty, clip, cut_off
        self.step, self.window = pacer_step, pacer_window
        self.blacklist_after, self.blacklist_share = blacklist_after, blacklist_share
        clients = len(known.sizes)
        self.utility = np.zeros(clients)
        self.last = np.zeros(clients, np.int64)  # 0: not explored yet
        self.picks = np.zeros(clients, np.int64)
        self.durations = known.durations.astype(np.float64)
        self.prior = np.minimum(known.sizes, known.samples).astype(np.float64)
        self.percentile = pacer_start
        self.gains: list[float] = []
        self.exploited: list[int] = []

    def choose(self, round_number: int, candidates: Clients, number: int, losses: Losses) -> list[int]:
        """See `Selector.choose`."""
        number = min(number, len(candidates))
        listed = np.isin(candidates, self.blacklist())
        viable = candidates[~listed]
        explored, unexplored = viable[self.last[viable] > 0], viable[self.last[viable] == 0]
        stream = rng.stream(self.known.seed, "oort", round_number)

        exploit = self._exploited(round_number, number, len(explored), len(unexplored))
        self.exploited = self._exploit(stream, round_number, explored, unexplored, exploit)
        explore = min(number - exploit, len(unexplored))
        chosen = self.exploited + self._explore(stream, round_number, unexplored, explore)
        return sorted(chosen + self._least_picked(candidates[listed], number - len(chosen)))

    def learn(self, round_number: int, reports: Sequence[Report]) -> None:
        """See `Selector.learn`."""
        utilities = {report.client: self._statistical(report) for report in reports if report.kept}
        mean = sum(utilities.values()) / max(len(utilities), 1)
        for report in reports:
            self.picks[report.client] += 1
            self.durations[report.client] = report.seconds
            utility = utilities.get(report.client, self.rules.straggler(mean))
            if utility is not None:
                utilities[report.client] = utility
                self.utility[report.client], self.last[report.client] = utility, round_number
        self.gains = [*self.gains, self.rules.gain(utilities, self.exploited)][-2 * self.window :]
        if round_number % self.window == 0 and round_number >= 2 * self.window:
            self._pace()

    def state(self) -> dict[str, Any]:
        """See `Selector.state`: what is known of the clients that were picked, and of the pacer."""
        picked = np.flatnonzero(self.picks)
        columns = {name: values[picked].tolist() for name, values in self._learned().items()}
        return {"percentile": self.percentile, "gains": self.gains, "clients": picked.tolist(), **columns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Selector.restore`."""
        self.percentile, self.gains = state["percentile"], list(state["gains"])
        for name, values in self._learned().items():
            values[state["clients"]] = state[name]

    def _learned(self) -> dict[str, NDArray[Any]]:
        return {"utility": self.utility, "last": self.last, "picks": self.picks, "durations": self.durations}

    def _statistical(self, report: Report) -> float:
        """|B| sqrt(mean of squared losses): equation 1 of the paper."""
        samples = self.rules.samples(int(self.known.sizes[report.client]), report.samples)
        return samples * math.sqrt(report.squared_loss)

    def _pace(self) -> None:
        """Relax or tighten the preferred duration, given the utilities of the last two windows."""
        before, lately = sum(self.gains[: self.window]), sum(self.gains[self.window :])
        moved = self.percentile + self.step * self.rules.pace(before, lately)
        self.percentile = min(max(moved, min(self.step, self.percentile)), 100.0)

    def preferred_duration(self) -> float:
        """T, in seconds: at the present percentile of all clients' durations; infinite at 100."""
        return math.inf if self.percentile >= 100 else quantile(self.durations, self.percentile / 100)

    def blacklist(self) -> Clients:
        """The clients that were picked too often, the most picked first, ids int64."""
        often = np.flatnonzero(self.picks > self.blacklist_after) if self.blacklist_after else np.arange(0)
        most = int(self.blacklist_share * len(self.picks))
        return often[np.argsort(-self.picks[often], kind="stable")[:most]]

    def utilities(self, round_number: int, explored: Clients, unexplored: Clients) -> Numbers:
        """Util(i) of explored candidates, [n]: statistical utility and uncertainty, lower for slow clients."""
        scaled = self.rules.scale(self.utility[explored], self.prior[unexplored], self.clip)
        uncertain = np.sqrt(self.uncertainty * math.log(round_number) / self.last[explored])
        return (scaled + uncertain) * self._penalties(explored)

    def _penalties(self, clients: Clients) -> Numbers:
        """(T / t)^alpha for those that take longer than T, else 1."""
        return np.minimum(self.preferred_duration() / self.durations[clients], 1.0) ** self.penalty

    def _exploited(self, round_number: int, number: int, explored: int, unexplored: int) -> int:
        """How many of the clients of a round are explored ones, given how many there are of both."""
        exploration = max(self.exploration * self.decay ** (round_number - 1), self.floor)
        wanted = self.rules.exploited(number, min(exploration, 1.0))
        return min(max(wanted, number - unexplored), explored)

    def _exploit(
        self, stream: np.random.Generator, round_number: int, explored: Clients, unexplored: Clients, number: int
    ) -> list[int]:
        """Admit clients above the cut-off, and draw so many of them by utility."""
        if number == 0:
            return []
        utilities = self.utilities(round_number, explored, unexplored)
        order = np.argsort(-utilities, kind="stable")
        pool = order[: self.rules.pool(utilities[order], number, self.cut_off)]
        return weighted(stream, explored[pool], utilities[pool], number)

    def _explore(self, stream: np.random.Generator, round_number: int, unexplored: Clients, number: int) -> list[int]:
        """Draw so many that were never seen."""
        prior = self.prior[unexplored] * self._penalties(unexplored)
        weights = self.rules.unexplored(prior, self.durations[unexplored], number, round_number)
        return weighted(stream, unexplored, weights, number)

    def _least_picked(self, listed: Clients, number: int) -> list[int]:
        """Of black-listed candidates so many as are wanting, those that were picked least."""
        return list(map(int, listed[np.argsort(self.picks[listed], kind="stable")[:number]]))
