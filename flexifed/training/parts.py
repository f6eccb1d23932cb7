"""What a plan shares, as parts: runs of values of which the server holds one copy and which the same clients average.

Pure: nothing is known of training or data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from flexifed.sharing.layers import Chain, Layer
from flexifed.sharing.plan import Plan
from flexifed.training.weights import Layout

BYTES = 4
"""Of one transferred value: float32."""

Range = tuple[int, int]
"""Where a run of values begins, and where it has ended."""


@dataclass(frozen=True)
class Part:
    """A run of values that the same clients average.

    Attributes:
        clients: ascending.
        starts: where it begins in each client's vector.
        length: values in it, padding included.
        buffers: ranges in it that hold running statistics of a normalisation.
        tables: ranges in it that hold embedding tables of which clients may hold some rows only.
        is_cut: whether it is the family's largest version, of which clients have cut something off; where what they
            have lies is up to `flexifed.training.submodels`, and there are no `starts`.
    """

    clients: tuple[int, ...]
    starts: tuple[int, ...]
    length: int
    buffers: tuple[Range, ...]
    tables: tuple[Range, ...] = ()
    is_cut: bool = False


def parts(plan: Plan, layouts: Sequence[Layout], normalisation: str, whole: Layout | None = None) -> list[Part]:
    """What a plan averages, as runs that are as long as possible: layers that follow each other become one.

    The number of parts depends on the versions and not on the number of clients.

    Args:
        plan: a checked plan.
        layouts: one for each client, of its whole model.
        normalisation: "averaged" with its layer, or "local": it stays with the client, as in FedBN.
        whole: layout of the family's largest version, which is a part of its own where groups have windows.
    """
    runs: list[tuple[tuple[int, ...], tuple[int, ...], int]] = []
    open_ends: dict[tuple[int, ...], int] = {}  # clients -> their last run, as long as nothing lies in between
    for group in plan.groups:
        if group.window:
            continue
        spans = [layouts[c].spans[d - 1] for c, d in zip(group.clients, group.depths, strict=True)]
        starts = tuple(span.start for span in spans)
        length = (spans[0].stop if normalisation == "averaged" else spans[0].normalisation) - starts[0]
        last = open_ends.get(group.clients)
        if last is not None and _follows(starts, runs[last]):
            _, begins, so_far = runs[last]
            runs[last] = (group.clients, begins, so_far + length)
        else:
            open_ends[group.clients] = len(runs)
            runs.append((group.clients, starts, length))
    made = [
        Part(
            clients,
            starts,
            length,
            within(layouts[clients[0]].buffers, starts[0], length),
            within(_tables(layouts[clients[0]]), starts[0], length),
        )
        for clients, starts, length in runs
    ]
    if whole is None:
        return made
    return [*made, Part(tuple(range(len(layouts))), (), whole.size, whole.buffers, is_cut=True)]


def _tables(layout: Layout) -> list[Range]:
    slots = [layout.slots[key] for key in layout.tables]
    return [(slot.start, slot.start + slot.shape.numel()) for slot in slots]


def _follows(starts: Sequence[int], run: tuple[tuple[int, ...], tuple[int, ...], int]) -> bool:
    _, begins, length = run
    return all(begin + length == start for begin, start in zip(begins, starts, strict=True))


def within(ranges: Sequence[Range], start: int, length: int) -> tuple[Range, ...]:
    """Those ranges of a vector that lie in a run of it, counted from the run's start."""
    return tuple((a - start, b - start) for a, b in ranges if start <= a and b <= start + length)


def rest(places: Sequence[Range], size: int) -> tuple[Range, ...]:
    """The ranges of a vector of this size that are in none of these places."""
    found, end = [], 0
    for start, stop in [*sorted(places), (size, size)]:
        if end < start:
            found.append((end, start))
        end = max(end, stop)
    return tuple(found)


def averaged_keys(layer: Layer, normalisation: str) -> tuple[str, ...]:
    """The keys of a layer that are averaged with it, for `normalisation` "averaged" or "local"."""
    assert normalisation in ("averaged", "local"), normalisation
    return layer.weights + (layer.normalisation if normalisation == "averaged" else ())


def bytes_per_round(
    plan: Plan, chains: Sequence[Chain], states: Sequence[Mapping[str, Tensor]], normalisation: str = "averaged"
) -> list[int]:
    """Bytes that each client sends in a round it takes part in, and as many that it receives: values as float32.

    Only shapes are read, so `states` may be on the meta device.
    """
    total = [0] * len(chains)
    for group in plan.groups:
        for client, depth in zip(group.clients, group.depths, strict=True):
            keys = averaged_keys(chains[client][depth - 1], normalisation)
            total[client] += BYTES * sum(states[client][key].numel() for key in keys)
    return total
