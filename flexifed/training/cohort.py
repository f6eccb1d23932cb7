"""Who takes part in a round."""

from collections.abc import Iterator, Sequence

from flexifed.settings import rng
from flexifed.settings.protocol import Protocol
from flexifed.training.client import Client


def cohort(clients: Sequence[Client], protocol: Protocol, seed: int, round_number: int) -> list[Client]:
    """The participants of a round, in the order of their ids: all of them, or so many drawn without replacement.

    They depend on the seed and the round alone, so that the strategies of a seed meet the same cohorts.
    """
    if protocol.cohort_size() == protocol.clients:
        return list(clients)
    generator = rng.stream(seed, "participants", round_number)
    drawn = generator.choice(len(clients), protocol.cohort_size(), replace=False)
    return [clients[i] for i in sorted(drawn.tolist())]


def crews(cohort: Sequence[Client], together: int | None) -> Iterator[Sequence[Client]]:
    """The cohort in pieces of at most so many; None: in one."""
    size = together or len(cohort)
    for first in range(0, len(cohort), size):
        yield cohort[first : first + size]
