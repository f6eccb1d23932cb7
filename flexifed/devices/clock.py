"""The virtual clock: the seconds that rounds would take on the devices of a fleet, and who is available when.

The rules are FedScale's (`fedscale/cloud/internal/client_metadata.py`, `aggregation/aggregator.py`), save one: a round
in which fewer finish than are wanted goes on until the last of the others is lost, since nobody knows before that they
will not come. What is decided at a time depends on what has happened until then, never on the rest of the trace.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flexifed.devices.fleet import Fleet, Seconds
from flexifed.system.errors import UserError

Clients = NDArray[np.int64]
Counts = NDArray[np.int64]

PASSES = 3
"""A training step takes as long as three forward passes, which capacities measure: FedScale's `augmentation_factor`."""

Stragglers = Literal["dropped", "waited_for"]


@dataclass(frozen=True)
class Outcome:
    """What came of a round with n invited clients."""

    kept: Clients
    """Whose uploads count, int64, ascending; empty where nobody has finished."""
    seconds: float
    """How long the round took."""
    dropped: Clients
    """The other invited clients, int64, ascending: too late, or lost."""
    finished: Seconds
    """Seconds from the start of the round until each invited client had finished, float64 [n]; inf where it has not."""


class Clock:
    """Time on the devices of a fleet.

    It counts whole periods of the fleet's spells and seconds within the present one, so that a moment at which a spell
    begins is met exactly, however late.
    """

    def __init__(self, fleet: Fleet, now: float = 0.0) -> None:
        """Args:
        fleet: the devices of K clients.
        now: seconds, 0 or more.
        """
        self.fleet = fleet
        self.period = fleet.spells.period
        self.owner = np.repeat(np.arange(len(fleet)), [len(starts) for starts in fleet.spells.starts])
        self.starts, self.ends = (np.concatenate(lists) for lists in (fleet.spells.starts, fleet.spells.ends))
        self.periods, self.phase = 0, 0.0
        self._advance(now)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.periods * self.period + self.phase

    def available(self) -> Clients:
        """The clients that are available now, int64, ascending."""
        return self.owner[self._present()]

    def wait_for(self, number: int) -> None:
        """Go to the first moment, from now on, at which so many clients are available at once.

        Raises:
            UserError: there is none.
        """
        count = int(self._present().sum())
        if count >= number:
            return
        moments, counts = self._to_come(count)
        enough = np.flatnonzero(counts >= number)
        if len(enough) == 0:
            most = max(count, counts.max(initial=0))
            raise UserError(
                f"{number} clients are wanted, and no more than {most} of {len(self.fleet)} are available at any time. "
                "Ask for fewer participants, or draw devices that are available for longer."
            )
        moment = float(moments[enough[0]])
        self.periods += int(moment <= self.phase)
        self.phase = moment

    def durations(self, clients: Clients, samples: Counts, up: Counts, down: Counts) -> Seconds:
        """The seconds of turns: three forward passes for each sample, and both ways through the network.

        Args:
            clients: ids, int64 [n].
            samples: that each trains, batch size x steps, int64 [n].
            up: bytes that each uploads, int64 [n].
            down: bytes that each downloads, int64 [n].

        Returns:
            float64 [n]: ``3 x samples x milliseconds / 1000 + 8 x (up + down) / (1000 x kilobits per second)``.
        """
        capacities = self.fleet.capacities
        training = PASSES * samples * capacities.milliseconds_per_sample[clients] / 1000
        return training + 8 * (up + down) / (1000 * capacities.kilobits_per_second[clients])

    def run(self, invited: Clients, durations: Seconds, keep: int, stragglers: Stragglers) -> Outcome:
        """Let invited clients work, see who is kept, and go to the end of the round.

        A client is lost when it becomes unavailable before it has finished. The round ends when `keep` clients have
        finished, or, where stragglers are waited for, when all have; and in any case when nobody is at work any more.
        So a round lasts as long as its slowest kept client, or until the last one is lost; it may end without a result.

        Args:
            invited: ids, int64 [n].
            durations: seconds of their turns, float64 [n].
            keep: how many are wanted, at least 1.
            stragglers: "dropped", only the first `keep` to finish are kept, equals in the order of `invited`; or
                "waited_for", all that finish are.
        """
        remaining = self._remaining()[invited]
        finishes = durations <= remaining
        keep = len(invited) if stragglers == "waited_for" else keep
        first = np.argsort(np.where(finishes, durations, np.inf), kind="stable")[: min(keep, int(finishes.sum()))]
        over = np.minimum(durations, remaining)
        seconds = float(over[first].max() if len(first) == keep else over.max(initial=0.0))
        self._advance(seconds)
        in_time = finishes & (durations <= seconds)
        return Outcome(
            kept=np.sort(invited[first]),
            seconds=seconds,
            dropped=np.sort(np.delete(invited, first)),
            finished=np.where(in_time, durations, np.inf),
        )

    def state(self) -> dict[str, Any]:
        """Where the clock stands, ready for JSON."""
        return {"periods": self.periods, "phase": self.phase}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.periods, self.phase = int(state["periods"]), float(state["phase"])

    def _advance(self, seconds: float) -> None:
        whole, self.phase = divmod(self.phase + seconds, self.period)
        self.periods += int(whole)

    def _present(self) -> NDArray[np.bool_]:
        """Of each spell, whether it is now."""
        return (self.starts <= self.phase) & (self.phase < self.ends)

    def _to_come(self, count: int) -> tuple[Seconds, Counts]:
        """The moments at which spells begin or end, in the order in which they come, and how many clients are available
        from then on; `count` are now. Both [moments], within the period.
        """
        moments = np.concatenate([self.starts, self.ends % self.period])
        changes = np.repeat([1, -1], [len(self.starts), len(self.ends)])
        at, which = np.unique(moments, return_inverse=True)
        change = np.bincount(which, changes, len(at)).astype(np.int64)
        order = np.roll(np.arange(len(at)), -np.searchsorted(at, self.phase, side="right"))
        return at[order], count + np.cumsum(change[order])

    def _remaining(self) -> Seconds:
        """For how long each client stays available from now on, float64 [K]: 0 for one that is not, inf for always."""
        remaining = np.zeros(len(self.fleet))
        present = self._present()
        until = self.ends[present]
        goes_on = np.where(self.starts == 0, self.ends, 0.0)
        first = np.bincount(self.owner, goes_on, len(self.fleet))[self.owner[present]]
        until = np.where(until == self.period, until + np.where(first == self.period, np.inf, first), until)
        remaining[self.owner[present]] = until - self.phase
        return remaining
