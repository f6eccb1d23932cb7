"""The same training as the serial engine, close to what the machine can do.

What is different, and nothing else is: the layout of models in memory (`_channels_last`), one set-up per version and
not per client and round (`_workspace`), recorded steps and one stream per version on a GPU (`_recording`), the former
only where they stand a trial (`_trial`), one wait for the device per round and phase, averages over whole runs of
layers (`aggregation.average_in_place`), and, where the study asks for it, a lower precision.
"""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from flexifed.engines import _trial
from flexifed.engines._recording import Direct, Recorded, Wrap
from flexifed.engines._workspace import Workspace
from flexifed.system.errors import UserError
from flexifed.training import aggregation
from flexifed.training.client import Client
from flexifed.training.engine import Evaluation, Federation, Steps, working_on

log = logging.getLogger("flexifed")

PRECISIONS = ("float32", "tf32", "bfloat16")


def create(federation: Federation) -> "Fast":
    """An engine for this federation, which records its steps on a GPU."""
    return Fast(federation, Recorded if federation.device.type == "cuda" else None)


class Fast:
    """One workspace per version; clients of different versions are under way at the same time on a GPU."""

    def __init__(self, federation: Federation, record: Wrap | None = None) -> None:
        """Set up; with `record`, the steps are recorded if what is played back is what they compute."""
        self.federation = federation
        self.first = {client.version: client for client in reversed(federation.clients)}
        self.steps = Steps()
        self.workspaces = self._set_up(Direct)
        if record is not None:
            torch.backends.cudnn.benchmark = True  # the shapes recur in every step, and the best kernels are worth it
            self._try(record)

    def _set_up(self, wrap: Wrap) -> dict[str, Workspace]:
        return {version: Workspace(self.federation, client, wrap) for version, client in self.first.items()}

    def _try(self, record: Wrap) -> None:
        """Take recorded steps in place of direct ones where they agree, which both are to do with the serial engine."""
        recorded = self._set_up(record)
        found = [self._trial(version, recorded[version]) for version in self.first]
        unlike_serial, fell_back = (next(filter(None, reasons), None) for reasons in zip(*found, strict=True))
        if unlike_serial:
            log.warning(
                "steps of the fast engine may not be those of the serial one on this device: %s. Hold a short study "
                "with `engine: serial` against this one before you rely on it.",
                unlike_serial,
            )
        if fell_back:
            log.warning("steps are not recorded but run one by one, which is slower: %s", fell_back)
        else:
            self.workspaces = recorded
        self.steps = Steps("direct" if fell_back else "recorded", fell_back, unlike_serial)

    def _trial(self, version: str, recorded: Workspace) -> tuple[str | None, str | None]:
        """Where direct steps differ from the serial ones, and recorded from direct ones, beyond rounding."""
        f, client = self.federation, self.first[version]
        serial = _trial.of_serial(f, client)
        tolerance = _trial.tolerances(f, client, serial)
        direct = _trial.of_workspace(self.workspaces[version], f, client)
        unlike_serial = _trial.disagreement(direct, serial, tolerance)
        try:
            outcome = _trial.of_workspace(recorded, f, client)
            fell_back = _trial.disagreement(outcome, direct, tolerance, _trial.SAME_KERNELS)
        except (UserError, RuntimeError) as error:  # what CUDA has to say about recordings is a RuntimeError
            fell_back = " ".join(str(error).split())
        return (
            f"{version}, {unlike_serial}" if unlike_serial else None,
            f"{version}, {fell_back}" if fell_back else None,
        )

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
