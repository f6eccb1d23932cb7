"""What a data set asks of a model: the loss that participants minimise, and what is measured on test samples.

Engines know nothing of either. Most metrics are means over samples, which an engine sums up batch by batch; those that
need every sample's score (the area under a curve) are given all of them.
"""

from collections.abc import Mapping
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor


class Task(Protocol):
    """A loss, and metrics.

    Attributes:
        METRIC: the metric that tables and curves show; higher is better.
        MEANS: names of the metrics that are means over samples; `loss` is one of them.
        SCORES: whether there are metrics that need every sample's score.
    """

    METRIC: ClassVar[str]
    MEANS: ClassVar[tuple[str, ...]]
    SCORES: ClassVar[bool]

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over samples that is minimised, in nats: no dimensions.

        Args:
            outputs: of the model, `[B, classes]`.
            labels: int64 `[B]`.
        """
        ...

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Of each sample, `[B]`; `loss` is their mean."""
        ...

    def sums(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """For each of `MEANS` the sum over samples, without dimensions."""
        ...

    def scores(self, outputs: Tensor) -> Tensor:
        """What `of_scores` wants to know of each sample, `[B]`."""
        ...

    def of_scores(self, scores: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Mapping[str, float]:
        """The other metrics; one that these samples do not define is left out.

        Args:
            scores: float `[N]`, of all samples.
            labels: int64 `[N]`.
            groups: int32 `[N]`, the user of each sample; None where the data set has none.
        """
        ...
