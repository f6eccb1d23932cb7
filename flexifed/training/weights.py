"""All numbers of a client in one vector, layer after layer: what it trains, what a plan averages, what is stored.

A layer is a contiguous piece of the vector, and so is every run of layers, so that averaging whole runs of layers takes
a few large operations. Models hold no numbers of their own: there is one per version, and it looks into the vector of
the client whose turn it is.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

from flexifed.models._rows import Rows, tables
from flexifed.sharing.layers import Chain
from flexifed.system import machine

ALIGNMENT = 16
"""Every tensor starts at a multiple of this many values: 64 bytes, a cache line, and what GPU kernels ask for."""

SHARE = 0.5
"""Of the free memory that the clients' vectors may take; beyond it they live in a file."""


@dataclass(frozen=True)
class Slot:
    """The place of one tensor in a vector."""

    start: int
    shape: torch.Size


@dataclass(frozen=True)
class Span:
    """The place of one layer in a vector: weights, then normalisation.

    Attributes:
        start: of the layer and of its weights.
        normalisation: where the weights end and the tensors of the normalisation begin.
        stop: behind the last value (and the padding).
    """

    start: int
    normalisation: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """Where the tensors of a version's models lie.

    Attributes:
        keys: every key of the model's `state_dict`, in its order.
        slots: place of each floating-point tensor.
        counters: keys of the integer counters, in the order in which they are stored.
        spans: place of each layer of the chain.
        size: values in a vector.
        buffers: where the running statistics of normalisations begin and have ended: what no gradient moves.
        tables: keys of the embedding tables of which a client may hold some rows only (`models._rows`).
        rows: by such a key, the row numbers of the whole table that are there, int64, ascending; without it, all are.
    """

    keys: tuple[str, ...]
    slots: Mapping[str, Slot]
    counters: tuple[str, ...]
    spans: tuple[Span, ...]
    size: int
    buffers: tuple[tuple[int, int], ...]
    tables: tuple[str, ...] = ()
    rows: Mapping[str, Tensor] = field(default_factory=dict)


def layout(model: nn.Module, chain: Chain, rows: Mapping[str, Tensor] = MappingProxyType({})) -> Layout:
    """The layout of a model's vector; values are not read, so the model may be on the meta device.

    Args:
        model: of the version.
        chain: its layers.
        rows: see `Layout.rows`.
    """
    state = model.state_dict()
    slots: dict[str, Slot] = {}
    spans = []
    end = 0

    def place(keys: Sequence[str]) -> int:
        nonlocal end
        for key in keys:
            shape = torch.Size((len(rows[key]), *state[key].shape[1:])) if key in rows else state[key].shape
            slots[key] = Slot(end, shape)
            end = math.ceil((end + shape.numel()) / ALIGNMENT) * ALIGNMENT
        return end

    for layer in chain:
        spans.append(Span(end, place(layer.weights), place(layer.normalisation)))
    return Layout(
        keys=tuple(state),
        slots=slots,
        counters=tuple(key for layer in chain for key in layer.counters),
        spans=tuple(spans),
        size=end,
        buffers=tuple(
            (slots[key].start, slots[key].start + slots[key].shape.numel())
            for key, _ in model.named_buffers()
            if key in slots
        ),
        tables=tuple(tables(model)),
        rows=rows,
    )


@dataclass(frozen=True)
class Run:
    """A run of a client's values, and where they are in the vector of the whole model.

    Attributes:
        start: in the client's vector.
        stop: likewise.
        at: where it begins in the whole vector; or the place of each of its values, int64 `[stop - start]`.
    """

    start: int
    stop: int
    at: int | Tensor


def runs(whole: Layout, own: Layout) -> list[Run]:
    """The vector of a client that may hold some rows of tables only, run by run, in the vector of the whole model.

    The padding of a table is in no run.
    """
    found: list[Run] = []
    for key, slot in own.slots.items():
        start, n = whole.slots[key].start, slot.shape.numel()
        if key in own.rows:
            width = slot.shape[1:].numel()
            at = (start + own.rows[key].cpu()[:, None] * width + torch.arange(width)).flatten()
            found.append(Run(slot.start, slot.start + n, at))
        else:
            follows = found and isinstance(found[-1].at, int) and found[-1].at - found[-1].start == start - slot.start
            first = found.pop() if follows else Run(slot.start, 0, start)
            found.append(Run(first.start, slot.start + n, first.at))
    return found


@dataclass(frozen=True)
class Weights:
    """The state of one client's model.

    Attributes:
        layout: where each tensor lies.
        values: float `[layout.size]`, padding included.
        counters: int64 `[len(layout.counters)]`, which nothing computes with and nothing averages.
    """

    layout: Layout
    values: Tensor
    counters: Tensor

    def state(self) -> dict[str, Tensor]:
        """Every tensor by its key, in the order of the model's `state_dict`: views, not copies."""
        counters = dict(zip(self.layout.counters, self.counters, strict=True))
        return {key: counters[key] if key in counters else self._view(key) for key in self.layout.keys}

    def _view(self, key: str) -> Tensor:
        slot = self.layout.slots[key]
        return self.values[slot.start : slot.start + slot.shape.numel()].view(slot.shape)

    def put_into(self, model: nn.Module) -> None:
        """Make the model look into this vector: from now on training it changes the vector.

        A tensor of the model may have other dimensions of size one than the layout says.
        """
        views = self.state()
        for key, tensor in tensors(model).items():
            if key in self.layout.tables:
                tensor.data = views[key]
                table = model.get_submodule(key.rpartition(".")[0])
                assert isinstance(table, Rows)
                table.present = self.layout.rows.get(key)
            elif key in views:  # the others are constants
                tensor.data = views[key].view(tensor.shape)

    def copy_(self, other: "Weights") -> None:
        """Take over the numbers of another client of the same version, from whatever device they are on."""
        self.values.copy_(other.values, non_blocking=True)
        self.counters.copy_(other.counters, non_blocking=True)

    def read(self, model: nn.Module) -> None:
        """Copy a model's numbers."""
        numbers = model.state_dict()
        for key, view in self.state().items():
            view.copy_(numbers[key])


def cut(whole: Weights, layout: Layout) -> Weights:
    """Of the numbers of a whole model those that a client's layout has room for, on the CPU."""
    (own,) = allocate([layout], torch.device("cpu"), whole.values.dtype)
    for run in runs(whole.layout, layout):
        n = run.stop - run.start
        own.values[run.start : run.stop] = (
            whole.values[run.at : run.at + n] if isinstance(run.at, int) else whole.values[run.at]
        )
    own.counters.copy_(whole.counters)
    return own


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters and buffers by name: the tensors themselves, which `state_dict` only refers to."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def allocate(layouts: Sequence[Layout], device: torch.device, dtype: torch.dtype = torch.float32) -> list[Weights]:
    """Room for one client's state for each layout; all zero. Where it is: see `vectors`."""
    found = vectors([layout.size for layout in layouts], device, dtype)
    return [
        Weights(layout, values, torch.zeros(len(layout.counters), dtype=torch.int64, device=values.device))
        for layout, values in zip(layouts, found, strict=True)
    ]


def vectors(sizes: Sequence[int], device: torch.device, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Vectors of these sizes, all zero.

    They are on `device` where they fit into half of its free memory, otherwise in main memory, otherwise in a temporary
    file (in `TMPDIR`) that the system pages in and out and that goes when the process does.
    """
    n_bytes = sum(sizes) * dtype.itemsize
    if device.type == "cuda" and n_bytes > SHARE * torch.cuda.mem_get_info(device)[0]:
        device = torch.device("cpu")
    if device.type == "cpu" and n_bytes > SHARE * machine.free_memory():
        store = _in_file(sum(sizes), dtype)
    else:
        store = torch.zeros(sum(sizes), dtype=dtype, device=device)
    return list(store.split(list(sizes)))


def _in_file(size: int, dtype: torch.dtype) -> Tensor:
    with tempfile.NamedTemporaryFile(prefix="flexifed-weights-") as file:  # unlinked at once; the mapping keeps it
        return torch.from_file(file.name, shared=True, size=size, dtype=dtype)
