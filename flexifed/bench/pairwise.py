"""Max-Common client by client and pair by pair, as the authors' script does it: the reference of the aggregation.

Written from a description of the script (fio1982/FlexiFed, `common_max`), not from its text: every client's state is
copied; for every ordered pair of clients the entries are walked from the first one on for as long as they agree, and
the other client's values are added to the copy and counted; then every entry is divided by its counter. Buffers and
integer counters are averaged like the rest; loading them truncates the counters.

The script compares the entries' names. Its layers carry an index that pooling shifts, so that a layer with another
place or shape has another name. Names are plainer here, so an entry is known by its name and its layer's signature;
this makes the averages those of the plan.
"""

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from flexifed.sharing.layers import chain

Entries = tuple[tuple[str, str], ...]
"""Name and layer signature of every entry of a model's `state_dict`, in order of execution."""


def entries(model: nn.Module) -> Entries:
    """The entries of a model."""
    return tuple(
        (name, layer.signature)
        for layer in chain(model)
        for name in (*layer.weights, *layer.normalisation, *layer.counters)
    )


def max_common(states: Sequence[Mapping[str, Tensor]], known: Sequence[Entries]) -> list[dict[str, Tensor]]:
    """Average every entry over the clients that agree on all entries up to it.

    Args:
        states: one per client, as from `state_dict`; not changed.
        known: their `entries`.

    Returns:
        New states. Time grows with the square of the number of clients; memory for one more model of each client.
    """
    totals = copy.deepcopy([dict(state) for state in states])
    counts = [dict.fromkeys(state, 1) for state in states]
    for i, (total, count) in enumerate(zip(totals, counts, strict=True)):
        for j, other in enumerate(states):
            if i == j:
                continue
            for ours, theirs in zip(known[i], known[j], strict=False):
                if ours != theirs:
                    break
                name = ours[0]
                total[name] += other[name]
                count[name] += 1
    for total, count in zip(totals, counts, strict=True):
        for name in total:
            total[name] = total[name] / count[name]
    return totals
