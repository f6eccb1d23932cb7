"""The fast engine where models are small: the participants of a version take their steps together.

With batches of ten and models of a hundred thousand numbers, a step is little more than the calls it consists of. Here
the parameters of several participants lie in one tensor each, `[K, ...]`, and one call works on all of them
(`_stack`). Batches, random numbers and results are each participant's own, as in every engine. Versions whose models
hold a layer that cannot be stacked, as those of texts do, are trained as by the fast engine; so are tests.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from flexifed.engines._stack import Stack, stackable
from flexifed.engines.fast import Fast
from flexifed.training.client import Batch, Turn, batches
from flexifed.training.engine import Federation, Trained, working_on

PRECISIONS = ("float32", "tf32", "bfloat16")

MOST = 16
"""Participants that are stacked at most: what they compute with is to stay in the processor's cache."""


def create(federation: Federation) -> "Stacked":
    """An engine for this federation."""
    return Stacked(federation)


class Stacked(Fast):
    """Trains stacks of participants; all else is the fast engine's, with direct steps."""

    together = None

    def train(self, round_number: int, turns: Sequence[Turn]) -> list[Trained]:
        """See `Engine.train`."""
        results: dict[int, Tensor] = {}
        for crew in self._stacks(round_number, turns):
            first = crew[0][0]
            workspace = self.workspaces[first.client.version]
            with working_on(first.client), workspace.turn():
                if stackable(self.federation.models[first.client.version]):
                    found = Stack(self.federation, [turn for turn, _ in crew]).train([s for _, s in crew], round_number)
                else:
                    found = torch.stack([workspace.follow(turn, steps, round_number) for turn, steps in crew])
            results |= {turn.client.id: one for (turn, _), one in zip(crew, found, strict=True)}
        return self._trained([results[turn.client.id] for turn in turns])

    def _stacks(self, round_number: int, turns: Sequence[Turn]) -> Iterator[list[tuple[Turn, list[Batch]]]]:
        """Participants of one version whose steps are of the same sizes, with their steps, at most `MOST` at a time."""
        f = self.federation
        alike: dict[tuple[str, tuple[int, ...]], list[tuple[Turn, list[Batch]]]] = {}
        for turn in turns:
            steps = list(batches(turn.client, f.transform, f.protocol, f.seed, round_number, turn.number))
            sizes = tuple(len(step.indices) for step in steps)
            alike.setdefault((turn.client.version, sizes), []).append((turn, steps))
        for crew in alike.values():
            for start in range(0, len(crew), MOST):
                yield crew[start : start + MOST]
