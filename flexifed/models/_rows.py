"""Embedding tables of which a client may hold only the rows that its samples ask for."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Rows(nn.Embedding):
    """The embedding tables of some sparse features, one below the other, as one.

    Attributes:
        sizes: rows of each table.
        first: column of the first table's feature among the sparse ones; the others' follow.
        present: row numbers that `weight` holds, int64 `[rows present]`, ascending; None where it holds all.
    """

    def __init__(self, sizes: Sequence[int], width: int, first: int) -> None:
        super().__init__(sum(sizes), width)
        self.sizes, self.first = tuple(sizes), first
        self.present: Tensor | None = None

    def forward(self, sparse: Tensor) -> Tensor:
        """All sparse features, int64 `[N, S]`, each a row number of its table, to `[N, tables, width]`."""
        ids = self.own(sparse) + torch.tensor(self.offsets, device=sparse.device)
        if self.present is not None:
            ids = torch.searchsorted(self.present, ids)
        return functional.embedding(ids, self.weight)

    @property
    def offsets(self) -> list[int]:
        """Where each table begins."""
        return [0, *accumulate(self.sizes[:-1])]

    def own(self, sparse: Tensor) -> Tensor:
        """Of all sparse features those of these tables."""
        return sparse[:, self.first : self.first + len(self.sizes)]

    def asked(self, sparse: np.ndarray) -> np.ndarray:
        """The row numbers that samples ask for, int64, ascending; `sparse` whole numbers `[n, S]`."""
        own = sparse[:, self.first : self.first + len(self.sizes)].astype(np.int64)
        return np.unique(own + np.array(self.offsets))


def tables(model: nn.Module) -> dict[str, Rows]:
    """The tables of a model, by their keys in its `state_dict`."""
    return {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, Rows)}
