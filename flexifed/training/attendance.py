"""Who takes part in a round: whom the strategy chooses of those who are available, as far as they finish in time.

Without devices everybody is available, and whoever is chosen takes part.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flexifed.devices.clock import Clock
from flexifed.selection.selector import Known, Report, Selector
from flexifed.settings import rng
from flexifed.settings.protocol import Protocol
from flexifed.training.client import Client, samples_of_turn

Losses = Callable[[Sequence[int]], list[float]]
"""Asks clients, by id, for the loss of the models that they would download now on their own training samples."""


class Attendance:
    """Chooses the cohort of each round, and learns from what its turns came to.

    Attributes:
        traffic: bytes that each client sends in a round, and as many that it receives.
        seconds: how long each client's turn takes, float64 `[clients]`; ones where there are no devices.
        dropped: invited to the last round and not kept, by id.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        protocol: Protocol,
        select: Callable[[Known], Selector],
        seed: int,
        clock: Clock | None,
        traffic: Sequence[int],
        work: Sequence[float] | None = None,
    ) -> None:
        """Args:
        clients: of the federation, by id.
        protocol: how many take part, and on what devices.
        select: makes the selector of what the server knows of its clients.
        seed: of the cell.
        clock: of the clients' devices; None where there are none.
        traffic: see there.
        work: of each client, multiply-adds of a sample as a share of those of the model that its device's speed is
            about; None for that model.
        """
        self.clients, self.protocol, self.seed, self.clock = clients, protocol, seed, clock
        everybody = np.arange(len(clients))
        samples = np.array([samples_of_turn(client, protocol) for client in clients])
        self.traffic, sent = traffic, np.array(traffic)
        worked = samples if work is None else samples * np.array(work)
        self.seconds = np.ones(len(clients)) if clock is None else clock.durations(everybody, worked, sent, sent)
        self.samples = samples
        sizes = np.array([len(client.train) for client in clients])
        self.selector = select(Known(sizes, samples, self.seconds, seed))
        self.dropped: list[int] = []

    def cohort(self, round_number: int, losses: Losses) -> list[Client]:
        """The participants of a round, in the order of their ids; none where nobody finishes."""
        wanted = self.protocol.cohort_size()
        if self.clock is None:
            chosen = self.selector.choose(round_number, np.arange(len(self.clients)), wanted, losses)
            return [self.clients[i] for i in chosen]
        devices = self.protocol.devices
        assert devices is not None
        self.clock.wait_for(wanted)
        available = self.clock.available()
        many = math.ceil(wanted * devices.over_commit) if devices.stragglers == "dropped" else wanted
        chosen = self.selector.choose(round_number, available, min(many, len(available)), losses)
        invited = rng.stream(self.seed, "ties", round_number).permutation(chosen)  # of equally fast ones, not the first
        outcome = self.clock.run(invited, self.seconds[invited], wanted, devices.stragglers)
        self.dropped = [int(client) for client in outcome.dropped]
        return [self.clients[i] for i in outcome.kept]

    def learn(self, round_number: int, trained: Mapping[int, tuple[float, float]]) -> None:
        """Tell the selector what the round's turns came to: mean loss and mean squared loss of each who was kept."""
        lost = dict.fromkeys(self.dropped, (math.nan, math.nan))
        reports = [
            Report(client, int(self.samples[client]), *found, float(self.seconds[client]), client in trained)
            for client, found in sorted({**lost, **trained}.items())
        ]
        self.selector.learn(round_number, reports)

    def state(self) -> dict[str, Any]:
        """What the next round's choice depends on, as JSON."""
        return {"selector": self.selector.state(), "clock": self.clock.state() if self.clock else None}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state`."""
        self.selector.restore(state["selector"])
        if self.clock:
            self.clock.restore(state["clock"])
