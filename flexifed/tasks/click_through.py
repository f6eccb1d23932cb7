"""How likely a user is to click on what is shown: log-loss, and how well clicks are ranked before the rest.

- `auc`: the area under the receiver operating characteristic, over all samples;
- `gauc`: the same within each user, weighted by the user's samples; users without a click or with nothing but clicks
  have none and are left out (Zhou et al. 2018, "Deep Interest Network", section 6.2);
- `loss`: log-loss, mean over samples, nats;
- `accuracy`: the share of samples on the right side of a probability of 0.5, which where few are clicked says little.

Where all samples are of one kind, there is no area, and the metric is left out.
"""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional

METRIC = "auc"
TITLE = "AUC"
METRICS = {"auc": "AUC", "gauc": "AUC within users", "loss": "log-loss", "accuracy": "accuracy"}
SCORES = True


class ClickThrough:
    """See `flexifed.training.task.Task`; a model has one output, the logit of a click, `[B, 1]`."""

    METRIC: ClassVar[str] = METRIC
    MEANS: ClassVar[tuple[str, ...]] = ("loss", "accuracy")
    SCORES: ClassVar[bool] = SCORES

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """See `Task.loss`."""
        return functional.binary_cross_entropy_with_logits(outputs.flatten(), labels.to(outputs.dtype))

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """See `Task.losses`."""
        targets = labels.to(outputs.dtype)
        return functional.binary_cross_entropy_with_logits(outputs.flatten(), targets, reduction="none")

    def sums(self, outputs: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """See `Task.sums`."""
        right = ((outputs.flatten() > 0) == (labels > 0)).sum()
        return self.losses(outputs, labels).sum(), right

    def scores(self, outputs: Tensor) -> Tensor:
        """See `Task.scores`: the logits, which rank as the probabilities do."""
        return outputs.flatten()

    def of_scores(self, scores: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Mapping[str, float]:
        """See `Task.of_scores`."""
        found = {"auc": area(scores, labels)}
        if groups is not None:
            found["gauc"] = grouped_area(scores, labels, groups)
        return {name: value for name, value in found.items() if value is not None}


def area(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """The area under the receiver operating characteristic, 0 .. 1; None where all samples are of one kind."""
    from sklearn.metrics import roc_auc_score  # half a second, which training that does not ask for it saves

    return float(roc_auc_score(labels, scores)) if 0 < labels.sum() < len(labels) else None


def grouped_area(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float | None:
    """Mean of the areas of those groups that have one, weighted by their samples; None where no group has."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    pieces = [(area(scores[piece], labels[piece]), len(piece)) for piece in np.split(order, starts)]
    areas = [value for value, _ in pieces if value is not None]
    sizes = [n for value, n in pieces if value is not None]
    return float(np.average(areas, weights=sizes)) if areas else None


TASK = ClickThrough()
