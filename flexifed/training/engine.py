"""How a federation's clients are trained: the seam between the round loop and the machine.

An engine is a file of `flexifed/engines/` with a function ``create(federation: Federation) -> Engine`` and a constant
`PRECISIONS`, the precisions it offers (see `flexifed.training.precision`). Every engine takes its batches and random
choices from `flexifed.training.client.batches`, so engines differ in speed and rounding and in nothing else.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from typing import Protocol as Interface

import torch
from torch import Tensor, nn

from flexifed.data.transforms import Transform
from flexifed.settings.protocol import Protocol
from flexifed.sharing.plan import Plan
from flexifed.system.errors import UserError
from flexifed.training.attendance import Attendance
from flexifed.training.client import Client, Samples, Turn
from flexifed.training.objectives import Objective
from flexifed.training.server import Server
from flexifed.training.task import Task
from flexifed.training.weights import Layout, Weights, cut

NO_MEMORY = ("can't allocate memory", "could not create a memory", "could not create a primitive")
"""What PyTorch's allocator and oneDNN say on a CPU, as errors of no class of their own."""


@dataclass(frozen=True)
class Federation:
    """All that training needs.

    Attributes:
        server: the numbers of all clients, between their turns.
        models: one for each version; which client's numbers it holds is up to the engine.
        task: what the data set asks: loss and metrics.
        attendance: who takes part in which round.
        objective: what participants minimise beside their loss; None for nothing.
        precision: one of the engine's `PRECISIONS`.
        squared_losses: whether turns are to measure the squares of their samples' losses.
        masks: by version, 1 where training moves a value and 0 where it does not; a version without one is all 1.
    """

    clients: list[Client]
    server: Server
    models: Mapping[str, nn.Module]
    train: Samples
    test: Samples
    transform: Transform
    plan: Plan
    protocol: Protocol
    seed: int
    device: torch.device
    precision: str
    task: Task
    attendance: Attendance
    objective: Objective | None = None
    squared_losses: bool = False
    masks: Mapping[str, Weights] = field(default_factory=dict)

    def mask(self, version: str, layout: Layout) -> Weights | None:
        """A version's mask on the training device, as far as a client's layout has room for it; None without one."""
        whole = self.masks.get(version)
        if whole is None:
            return None
        own = cut(whole, layout) if layout.rows else whole
        return Weights(layout, own.values.to(self.device), own.counters)


@dataclass(frozen=True)
class Evaluation:
    """A model on the test samples of its client.

    Attributes:
        means: those metrics of the task that are means over the samples, by name.
        scores: every sample's, float `[m]` in main memory; None where no metric of the task asks for them.
    """

    means: Mapping[str, float]
    scores: Tensor | None = None


class Trained(NamedTuple):
    """What a participant's turn came to.

    Attributes:
        loss: mean over the samples that were trained, each as it was before its step; nats.
        squared_loss: mean of the squares of these samples' losses; NaN where nobody asked for it.
    """

    loss: float
    squared_loss: float = math.nan


@contextmanager
def working_on(client: Client) -> Iterator[None]:
    """Turn a want of memory into an error that names the client.

    Raises:
        UserError: PyTorch, oneDNN or Python could not get the memory they asked for.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError; on a CPU only texts differ
        wanted = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not wanted and not any(text in str(error) for text in NO_MEMORY):
            raise
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"client {client.id} ({client.version}): out of memory ({said}). Run fewer cells at a time, or take fewer "
            "clients, a smaller `batch_size` or a narrower family."
        ) from error


@dataclass(frozen=True)
class Steps:
    """How an engine runs the steps of training.

    Attributes:
        how: "direct", or "recorded" where a GPU plays back what was recorded once.
        fell_back: why they are direct although they could have been recorded; None where nothing was wrong.
        unlike_serial: where they differ from the serial engine's beyond rounding, as far as it was looked at.
    """

    how: str = "direct"
    fell_back: str | None = None
    unlike_serial: str | None = None


class Engine(Interface):
    """Trains and tests the models of participants."""

    @property
    def steps(self) -> Steps:
        """How its steps are run."""
        ...

    @property
    def together(self) -> int | None:
        """How many participants it wants to have under way at a time; None for the whole cohort."""
        ...

    def train(self, round_number: int, turns: Sequence[Turn]) -> list[Trained]:
        """Train every participant on its slice. Rounds count from 1."""
        ...

    def losses(self, turns: Sequence[Turn]) -> list[float]:
        """Every participant's mean loss on all of its training samples, in `eval()`, in nats. Nothing is changed."""
        ...

    def test(self, turns: Sequence[Turn]) -> list[Evaluation]:
        """Test every participant's model on the client's test samples, in `eval()`. Nothing is changed."""
        ...

    def test_train_mode(self, round_number: int, turns: Sequence[Turn]) -> list[Evaluation]:
        """The same with dropout and batch statistics, as in the authors' script.

        Nothing is changed, but for the running statistics where the protocol wants the authors' test in training mode.
        """
        ...
