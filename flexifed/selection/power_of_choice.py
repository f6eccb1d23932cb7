"""Power-of-choice: of some candidates, those with the highest losses (Cho, Wang, Joshi 2020, arXiv:2010.01243)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from flexifed.selection.drawing import weighted
from flexifed.selection.selector import Clients, Known, Losses, Report
from flexifed.settings import rng


class PowerOfChoice:
    """Draws d candidates in proportion to their data, and takes those whose losses are highest (section 4)."""

    SQUARED_LOSSES: ClassVar[bool] = False

    def __init__(
        self, known: Known, *, candidates: int = 20, variant: Literal["asked", "remembered"] = "asked"
    ) -> None:
        """Args:
        known: sizes and seed are used.
        candidates: the paper's d; where more clients are wanted, it is as many as those.
        variant: "asked" (pow-d), candidates say the loss of the present model on their samples; or "remembered"
            (rpow-d), it is the mean training loss of their last turn, infinite for those that have had none.
        """
        self.known = known
        self.candidates, self.variant = candidates, variant
        self.last: dict[int, float] = {}

    def choose(self, round_number: int, candidates: Clients, number: int, losses: Losses) -> list[int]:
        """See `Selector.choose`. Among equal losses, whoever was drawn first is taken."""
        stream = rng.stream(self.known.seed, "power_of_choice", round_number)
        sizes = self.known.sizes[candidates].astype(np.float64)
        drawn = weighted(stream, candidates, sizes, max(self.candidates, number))
        if number >= len(drawn):
            return sorted(drawn)
        found = losses(drawn) if self.variant == "asked" else [self.last.get(client, math.inf) for client in drawn]
        highest = np.argsort(-np.array(found), kind="stable")[:number]
        return sorted(drawn[i] for i in highest)

    def learn(self, round_number: int, reports: Sequence[Report]) -> None:
        """See `Selector.learn`. Stragglers teach nothing."""
        self.last |= {report.client: report.loss for report in reports if report.kept}

    def state(self) -> dict[str, Any]:
        """See `Selector.state`: the last loss by client."""
        return {"last": {str(client): loss for client, loss in self.last.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Selector.restore`."""
        self.last = {int(client): loss for client, loss in state["last"].items()}
