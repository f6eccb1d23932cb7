"""Embedding tables of which a client may hold only the rows that its samples ask for."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Rows(nn.Embedding):
    """An embedding table for one sparse field.

    Attributes:
        field: column of the sparse features that holds its row numbers.
        present: row numbers that `weight` holds, int64 `[rows present]`, ascending; None where it holds all.
    """

    def __init__(self, rows: int, width: int, field: int) -> None:
        super().__init__(rows, width)
        self.field = field
        self.present: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        """int64 `[N]`, row numbers of the whole table, to `[N, width]`."""
        if self.present is not None:
            ids = torch.searchsorted(self.present, ids)
        return functional.embedding(ids, self.weight)


def tables(model: nn.Module) -> dict[str, int]:
    """The tables of a model: keys of its `state_dict`, and the sparse field of each."""
    return {f"{name}.weight": module.field for name, module in model.named_modules() if isinstance(module, Rows)}


def hold(model: nn.Module, key: str, rows: Tensor | None) -> None:
    """Tell a table, by its key in the model's `state_dict`, which rows its weight holds; see `Rows.present`."""
    table = model.get_submodule(key.rpartition(".")[0])
    assert isinstance(table, Rows)
    table.present = rows
