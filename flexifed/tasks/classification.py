"""Which of several classes a sample is of: cross-entropy, and the share of samples whose highest output is right."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

METRIC = "accuracy"
TITLE = "accuracy"
METRICS = {"accuracy": "accuracy", "loss": "loss"}
SCORES = False


class Classification:
    """See `flexifed.training.task.Task`."""

    METRIC: ClassVar[str] = METRIC
    MEANS: ClassVar[tuple[str, ...]] = ("accuracy", "loss")
    SCORES: ClassVar[bool] = SCORES

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """See `Task.loss`."""
        return functional.cross_entropy(outputs, labels)

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """See `Task.losses`."""
        return functional.cross_entropy(outputs, labels, reduction="none")

    def sums(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """See `Task.sums`."""
        right = (outputs.argmax(dim=1) == labels).sum()
        return right, functional.cross_entropy(outputs, labels, reduction="sum")

    def scores(self, outputs: Tensor) -> Tensor:
        """See `Task.scores`: no metric asks for them."""
        return torch.empty(0)

    def of_scores(self, scores: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Mapping[str, float]:
        """See `Task.of_scores`."""
        return {}


TASK = Classification()
