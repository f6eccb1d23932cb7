"""The same training as the serial engine, close to what the machine can do.

What is different, and nothing else is: the layout of models in memory (`_channels_last`), one set-up per version and
not per client and round (`_workspace`), recorded steps and one stream per version on a GPU (`_recording`), the former
only where they stand a trial (`_trial`), one wait for the device per round and phase, and, where the study asks
for it, a lower precision.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from flexifed.engines import _trial
from flexifed.engines._recording import Direct, Recorded, Wrap
from flexifed.engines._workspace import Workspace
from flexifed.system.errors import UserError
from flexifed.training.client import Turn
from flexifed.training.engine import Evaluation, Federation, Steps, Trained, working_on

log = logging.getLogger("flexifed")

PRECISIONS = ("float32", "tf32", "bfloat16")


def create(federation: Federation) -> "Fast":
    """An engine for this federation, which records its steps on a GPU."""
    # Embedding tables change their size from client to client, which no recording can follow.
    changes = any(client.layout.tables for client in federation.clients)
    return Fast(federation, Recorded if federation.device.type == "cuda" and not changes else None)


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
        return {v: Workspace(self.federation, client, wrap) for v, client in self.first.items()}

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

    @property
    def together(self) -> int | None:
        """See `Engine.together`. A GPU works on several at a time, and nothing is to wait for it between two."""
        return None if self.federation.device.type == "cuda" else 1

    def train(self, round_number: int, turns: Sequence[Turn]) -> list[Trained]:
        """See `Engine.train`."""
        return self._trained(self._each(turns, lambda workspace, turn: workspace.train(turn, round_number)))

    def _trained(self, results: Sequence[Tensor]) -> list[Trained]:
        """Means of losses and of their squares, `[2]` of each participant, as the round loop takes them."""
        squared = self.federation.squared_losses
        return [Trained(*found.tolist()) if squared else Trained(found[0].item()) for found in self._fetched(results)]

    def losses(self, turns: Sequence[Turn]) -> list[float]:
        """See `Engine.losses`."""
        return [
            loss.item() for loss in self._fetched(self._each(turns, lambda workspace, turn: workspace.losses(turn)))
        ]

    def test(self, turns: Sequence[Turn]) -> list[Evaluation]:
        """See `Engine.test`."""
        return self._evaluated(self._each(turns, lambda workspace, turn: workspace.test(turn)))

    def test_train_mode(self, round_number: int, turns: Sequence[Turn]) -> list[Evaluation]:
        """See `Engine.test_train_mode`."""
        return self._evaluated(self._each(turns, lambda workspace, turn: workspace.test_train_mode(turn, round_number)))

    def _evaluated(self, results: Sequence[Tensor]) -> list[Evaluation]:
        """Means of the task, then scores, one vector of each participant, as the round loop takes them."""
        task = self.federation.task
        n = len(task.MEANS)
        return [
            Evaluation(dict(zip(task.MEANS, found[:n].tolist(), strict=True)), found[n:] if task.SCORES else None)
            for found in self._fetched(results)
        ]

    def _each(self, turns: Sequence[Turn], work: Callable[[Workspace, Turn], Tensor]) -> list[Tensor]:
        """The results for every participant, on the device."""
        results = []
        for turn in turns:
            workspace = self.workspaces[turn.client.version]
            with working_on(turn.client), workspace.turn():
                results.append(work(workspace, turn))
        return results

    def _fetched(self, results: Sequence[Tensor]) -> Sequence[Tensor]:
        """Results of all workspaces, float64 in main memory: the one place where the device is waited for."""
        for workspace in self.workspaces.values():
            workspace.join()
        whole = torch.cat([found.flatten() for found in results]).double().cpu()
        return torch.split(whole, [found.numel() for found in results])
