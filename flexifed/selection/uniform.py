"""Uniform selection without replacement, as in FedAvg (McMahan et al. 2017, Algorithm 1)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flexifed.selection.selector import Clients, Known, Losses, Report
from flexifed.settings import rng


class Uniform:
    """Every candidate is as likely as every other; nothing is learned."""

    SQUARED_LOSSES: ClassVar[bool] = False

    def __init__(self, known: Known) -> None:
        self.seed = known.seed

    def choose(self, round_number: int, candidates: Clients, number: int, losses: Losses) -> list[int]:
        """See `Selector.choose`; depends on the seed, the round and the candidates alone."""
        if number >= len(candidates):
            return list(map(int, candidates))
        drawn = rng.stream(self.seed, "participants", round_number).choice(len(candidates), number, replace=False)
        return sorted(map(int, candidates[drawn]))

    def learn(self, round_number: int, reports: Sequence[Report]) -> None:
        """See `Selector.learn`: there is nothing to learn."""

    def state(self) -> dict[str, Any]:
        """See `Selector.state`: there is none."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Selector.restore`: there is nothing to restore."""
