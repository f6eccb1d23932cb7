"""The same training as the serial engine, close to what the machine can do.

What is different, and nothing else is: the layout of models in memory (`_channels_last`), one set-up per version and
not per client and round (`_workspace`), recorded steps and one stream per version on a GPU (`_recording`), one wait for
the device per round and phase, averages over whole runs of layers (`aggregation.average_in_place`), and, where the
study asks for it, a lower precision.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from flexifed.engines._workspace import Workspace
from flexifed.training import aggregation
from flexifed.training.client import Client
from flexifed.training.engine import Evaluation, Federation, working_on

PRECISIONS = ("float32", "tf32", "bfloat16")


def create(federation: Federation) -> "Fast":
    """An engine for this federation."""
    return Fast(federation)


class Fast:
    """One workspace per version; clients of different versions are under way at the same time on a GPU."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        first = {client.version: client for client in reversed(federation.clients)}
        self.workspaces = {version: Workspace(federation, client) for version, client in first.items()}

    def train(self, round_number: int) -> list[float]:
        """See `Engine.train`."""
        losses: list[float] = self._each(lambda workspace, client: workspace.train(client, round_number)).tolist()
        return losses

    @torch.no_grad()
    def aggregate(self) -> None:
        """See `Engine.aggregate`."""
        f = self.federation
        shares = [len(client.train) for client in f.clients] if f.protocol.averaging == "samples" else None
        weights = [client.weights for client in f.clients]
        aggregation.average_in_place(f.plan, weights, shares, f.protocol.normalisation)

    def evaluate(self, round_number: int, *, train_mode: bool) -> list[Evaluation]:
        """See `Engine.evaluate`."""
        found = self._each(lambda workspace, client: torch.stack(workspace.test(client))).tolist()
        others: list[float | None] = [None] * len(found)
        if train_mode:
            others = self._each(lambda workspace, client: workspace.test_train_mode(client, round_number)).tolist()
        return [
            Evaluation(accuracy, loss, accuracy_train_mode)
            for (accuracy, loss), accuracy_train_mode in zip(found, others, strict=True)
        ]

    def _each(self, work: Callable[[Workspace, Client], Tensor]) -> Tensor:
        """The results for every client, `[clients, ...]`: the one place where the device is waited for."""
        results = []
        for client in self.federation.clients:
            workspace = self.workspaces[client.version]
            with working_on(client), workspace.turn():
                results.append(work(workspace, client))
        for workspace in self.workspaces.values():
            workspace.join()
        return torch.stack(results).double().cpu()
