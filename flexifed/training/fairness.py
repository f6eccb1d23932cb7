"""q-FedAvg's step: participants whose loss is higher count for more (Li et al. 2020, Algorithm 2).

With L = 1 / (the clients' learning rate), F_k the loss of participant k and w_k its upload:

    Delta_k = F_k^q * L * (w - w_k)
    h_k     = q * F_k^(q - 1) * ||L * (w - w_k)||^2 + L * F_k^q
    w       = w - sum of Delta_k / sum of h_k

That is a step from w towards the mean of the uploads weighted by F_k^q, of length L * (sum of F_k^q) / (sum of h_k),
which for q = 0 is the whole way: FedAvg with uniform weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from flexifed.training.rules import Uploads, Weighing

TINY = 1e-10
"""Is added to a loss, as in the authors' code (fair_flearn, `qffedavg.py`): a power of zero may have no value."""


@dataclass(frozen=True)
class QFair(Weighing):
    """See above.

    Attributes:
        q: 0 or more.
        lipschitz: L.
        loss: see `Weighing`.
    """

    q: float
    lipschitz: float
    loss: Literal["at_download", "training"] = "at_download"
    STATE: ClassVar[tuple[str, ...]] = ()
    RELATIVE: ClassVar[bool] = True
    STEPS_BUFFERS: ClassVar[bool] = False

    def weight(self, loss: float) -> float:
        """See `Weighing.weight`: F^q."""
        return float((loss + TINY) ** self.q)

    def curvature(self, loss: float, squared_distance: float) -> float:
        """See `Weighing.curvature`: h."""
        squared_gradient = self.lipschitz**2 * squared_distance
        slope = self.q * (loss + TINY) ** (self.q - 1) if self.q else 0.0
        return float(slope * squared_gradient + self.lipschitz * self.weight(loss))

    def step(self, now: Tensor, mean: Tensor, state: Mapping[str, Tensor], uploads: Uploads) -> None:
        """See `Rule.step`."""
        torch.lerp(now, mean, self.lipschitz * uploads.share / uploads.curvature, out=mean)
