"""The interface of selectors: what they know, what they are told, and what they are asked.

Shapes: K clients, numbered from 0. Every random choice comes from a stream named by purpose and round, so that a
resumed run chooses as an uninterrupted one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

Clients = NDArray[np.int64]
Losses = Callable[[Sequence[int]], list[float]]


@dataclass(frozen=True)
class Known:
    """What the server knows of the clients before the first round."""

    sizes: NDArray[np.int64]
    """Training samples of each client, int64 [K], at least 1."""
    samples: NDArray[np.int64]
    """Samples that each client trains in a turn, batch size x steps, int64 [K]."""
    durations: NDArray[np.float64]
    """Predicted seconds of a turn, float64 [K], above 0; all 1.0 without devices."""
    seed: int
    """Of the cell."""


@dataclass(frozen=True)
class Report:
    """What the server learns of one invited client when a round is over."""

    client: int
    samples: int
    """Samples trained in the turn."""
    loss: float
    """Mean training loss of the turn; NaN for a straggler."""
    squared_loss: float
    """Mean of the squares of the samples' training losses; NaN where it was not measured, and for a straggler."""
    seconds: float
    """Duration of the turn."""
    kept: bool
    """Whether its upload went into the model; False for a straggler."""


class Selector(Protocol):
    """Chooses who is invited to a round.

    Attributes:
        SQUARED_LOSSES: whether `Report.squared_loss` is wanted.
    """

    SQUARED_LOSSES: ClassVar[bool]

    def choose(self, round_number: int, candidates: Clients, number: int, losses: Losses) -> list[int]:
        """Choose the clients of a round.

        Args:
            round_number: from 1; each round is asked for once, in order.
            candidates: the clients that are available, int64 [n], ascending.
            number: how many are wanted, at least 1.
            losses: gives the mean loss of the model that each of these clients would download now on its own training
                samples; an expensive call.

        Returns:
            Distinct ids out of `candidates`, ascending: `number` of them, or all where there are fewer.
        """
        ...

    def learn(self, round_number: int, reports: Sequence[Report]) -> None:
        """Learn what came of a round: one report for each client that was chosen for it."""
        ...

    def state(self) -> dict[str, Any]:
        """All that later choices depend on beside `Known`, ready for JSON."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, before or after it went through JSON."""
        ...
