"""Finding who shares which layer: chains compared in pairs, as the authors' script does, against the prefix tree.

The paper states O(K^2) comparisons of K clients at worst and O(K) at best for its clustering (appendix A.2). The
authors' script (fio1982/FlexiFed, `common_max`; from a description of it, see `pairwise.py`) compares every ordered
pair of clients, always. The tree looks at every layer of every client once.
"""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flexifed import models
from flexifed.bench.sizes import Limit
from flexifed.bench.turns import in_turn, ratios, spread
from flexifed.settings import registry
from flexifed.sharing import prefix_tree
from flexifed.sharing.layers import chain
from flexifed.sharing.planning import CLASSES, SHAPES

COLUMNS = (
    "family", "clients", "candidate", "comparisons", "per_client", "repetitions", "seconds", "seconds_low",
    "seconds_high", "ratio", "ratio_low", "ratio_high",
)  # fmt: skip
"""Of clustering.csv.

`comparisons`: signatures compared or hashed, counted in a run that is not timed. `ratio`: pairwise seconds by the
candidate's, turn by turn; empty where there are too many clients to compare them in pairs.
"""

PAIRWISE, TREE = "pairwise", "prefix tree"

Chains = Sequence[Sequence[Hashable]]


def pairwise(chains: Chains) -> list[list[int]]:
    """For each client and layer, with how many clients it agrees up to there (itself included), pair by pair."""
    found = []
    for i, ours in enumerate(chains):
        counts = [1] * len(ours)
        for j, theirs in enumerate(chains):
            if i == j:
                continue
            for depth, (layer, other) in enumerate(zip(ours, theirs, strict=False)):
                if layer != other:
                    break
                counts[depth] += 1
        found.append(counts)
    return found


def tree(chains: Chains) -> list[list[int]]:
    """The same from the prefix tree."""
    found: list[list[int]] = [[] for _ in chains]
    for node in prefix_tree.build(chains).walk():  # parents before children, so by depth
        for client in node.clients:
            found[client].append(len(node.clients))
    return found


CANDIDATES: dict[str, Callable[[Chains], list[list[int]]]] = {PAIRWISE: pairwise, TREE: tree}


@dataclass
class Counter:
    """How often signatures were compared or hashed."""

    n: int = 0


@dataclass(frozen=True, eq=False)
class Counted:
    """A signature that counts its comparisons."""

    signature: Hashable
    counter: Counter

    def __eq__(self, other: object) -> bool:
        self.counter.n += 1
        return isinstance(other, Counted) and self.signature == other.signature

    def __hash__(self) -> int:
        self.counter.n += 1
        return hash(self.signature)


def comparisons(find: Callable[[Chains], object], chains: Chains) -> int:
    """How often `find` compares or hashes a signature."""
    counter = Counter()
    find([[Counted(signature, counter) for signature in one] for one in chains])
    return counter.n


def chains_of(family: str, clients: int) -> Chains:
    """The signatures of clients that hold a family's versions in equal numbers, in order."""
    kind, versions = registry.constant("family", family, "KIND"), registry.constant("family", family, "VERSIONS")
    built = [
        [layer.signature for layer in chain(models.build_meta(family, version, SHAPES[kind], CLASSES[kind], {}))]
        for version in versions
    ]
    return [built[client * len(built) // clients] for client in range(clients)]


def measure(family: str, clients: int, limit: Limit, *, most_pairwise: int) -> list[dict[str, Any]]:
    """A row for each candidate, for one number of clients; in pairs only up to `most_pairwise` clients."""
    chains = chains_of(family, clients)
    there = {name: find for name, find in CANDIDATES.items() if name != PAIRWISE or clients <= most_pairwise}
    measured = in_turn({name: partial(_seconds, find, chains) for name, find in there.items()}, limit, warm_ups=1)
    counted = {name: comparisons(find, chains) for name, find in there.items()}
    return [
        {
            "family": family,
            "clients": clients,
            "candidate": name,
            "comparisons": counted[name],
            "per_client": counted[name] / clients,
            "repetitions": len(seconds),
            **spread(seconds).columns("seconds"),
            **(ratios(measured[PAIRWISE], seconds).columns("ratio") if PAIRWISE in measured else {}),
        }
        for name, seconds in measured.items()
    ]


def _seconds(find: Callable[[Chains], object], chains: Chains) -> float:
    started = time.perf_counter()
    find(chains)
    return time.perf_counter() - started
