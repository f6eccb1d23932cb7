"""The metrics of tested clients, from what the engine gives back: of each client, and of a version's clients together.

A client's own samples may be few, and of one class; metrics that need every sample's score are then taken over the
scores of all tested clients. Where each client is tested on the whole test set, they are each client's own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from flexifed.training.client import Client
from flexifed.training.engine import Evaluation, Federation


class Measured:
    """Metrics of one phase of a round."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        self.known: dict[int, dict[str, float]] = {}

    def of_client(self, client: Client, evaluation: Evaluation) -> dict[str, float]:
        """All metrics of a client; clients that share an evaluation share the work."""
        key = id(evaluation)
        if key not in self.known:
            self.known[key] = dict(evaluation.means)
            if evaluation.scores is not None and self.federation.protocol.test_set == "whole":
                self.known[key] |= self._of_scores(evaluation.scores, client.test)
        return dict(self.known[key])

    def together(self, clients: Sequence[Client], tested: Mapping[int, Evaluation]) -> dict[str, dict[str, float]]:
        """By version, the metrics over the samples of all its tested clients, where clients have shards and scores."""
        f = self.federation
        if not f.task.SCORES or f.protocol.test_set == "whole":
            return {}
        versions: dict[str, list[Client]] = {}
        for client in clients:
            if client.id in tested:
                versions.setdefault(client.version, []).append(client)
        return {version: self._pooled(some, tested) for version, some in versions.items()}

    def _pooled(self, clients: Sequence[Client], tested: Mapping[int, Evaluation]) -> dict[str, float]:
        sizes = [len(client.test) for client in clients]
        means = {
            name: float(np.average([tested[client.id].means[name] for client in clients], weights=sizes))
            for name in self.federation.task.MEANS
        }
        scores = np.concatenate([_array(tested[client.id].scores) for client in clients])
        return means | self._of_scores(scores, np.concatenate([client.test for client in clients]))

    def _of_scores(self, scores: Tensor | np.ndarray, samples: np.ndarray) -> dict[str, float]:
        f = self.federation
        labels = f.test.labels[samples].cpu().numpy()
        groups = None if f.test.groups is None else f.test.groups[samples]
        return dict(f.task.of_scores(np.asarray(scores), labels, groups))


def _array(scores: Tensor | None) -> np.ndarray:
    assert scores is not None, "the task asks for scores"
    return scores.numpy()
