"""Carrying a plan out: the clients' states are averaged. Pure: nothing is known of training or data.

`averages` goes layer by layer and says what is meant; `average_in_place` does the same, to the bit, on whole vectors.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flexifed.sharing.layers import Chain, Layer
from flexifed.sharing.plan import Plan
from flexifed.training.weights import Weights

BYTES = 4
"""Of one transferred value: float32."""

CHUNK = {"cpu": 1 << 16, "cuda": 1 << 24}
"""Values averaged at a time: on a CPU what stays in its cache (256 KB), on a GPU what keeps it busy (64 MB)."""


def averages(
    plan: Plan,
    chains: Sequence[Chain],
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float] | None = None,
    normalisation: str = "averaged",
) -> Iterator[dict[int, dict[str, Tensor]]]:
    """The means of a plan, group by group: client -> key -> mean.

    Groups do not overlap, so a caller may write a group's means back into `states` before it takes the next group, and
    then needs memory for the means of one layer only. Clients of a group get the same tensors. A key may differ
    between clients; tensors are matched by their place in the layer. Integer counters are never averaged.

    Args:
        plan: a checked plan.
        chains: one per client.
        states: one per client, as from `state_dict`, on any one device.
        weights: positive weight of each client's values, e.g. its number of training samples; None for the plain mean
            (paper, 1/|C|).
        normalisation: "averaged" with its layer, or "local": it stays with the client, as in FedBN.

    Yields:
        Means in float32 (float64 for float64 states), accumulated in that precision in the order of the clients.
    """
    for group in plan.groups:
        keys = [
            averaged_keys(chains[client][depth - 1], normalisation)
            for client, depth in zip(group.clients, group.depths, strict=True)
        ]
        shares = [1.0 if weights is None else weights[client] for client in group.clients]
        means: dict[int, dict[str, Tensor]] = {client: {} for client in group.clients}
        for aligned in zip(*keys, strict=True):
            mean = _mean([states[client][key] for client, key in zip(group.clients, aligned, strict=True)], shares)
            for client, key in zip(group.clients, aligned, strict=True):
                means[client][key] = mean
        yield means


def averaged_keys(layer: Layer, normalisation: str) -> tuple[str, ...]:
    """The keys of a layer that are averaged with it, for `normalisation` "averaged" or "local"."""
    assert normalisation in ("averaged", "local"), normalisation
    return layer.weights + (layer.normalisation if normalisation == "averaged" else ())


def _mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean as a running mean: one extra tensor whatever the number of clients, and exact on equal tensors."""
    assert min(weights) > 0, f"weights of a mean must be positive, got {weights}"
    mean = tensors[0].detach().to(torch.promote_types(tensors[0].dtype, torch.float32), copy=True)
    total = weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total += weight
        mean.lerp_(tensor.detach().to(mean.dtype), weight / total)
    return mean


@dataclass(frozen=True)
class Piece:
    """A run of values that the same clients average.

    Attributes:
        clients: ascending.
        starts: where it begins in each client's vector.
        length: values in it.
    """

    clients: tuple[int, ...]
    starts: tuple[int, ...]
    length: int


def pieces(plan: Plan, weights: Sequence[Weights], normalisation: str) -> list[Piece]:
    """What a plan averages, as runs that are as long as possible: layers that follow each other become one.

    The number of pieces depends on the versions and not on the number of clients.
    """
    assert normalisation in ("averaged", "local"), normalisation
    found: list[Piece] = []
    open_ends: dict[tuple[int, ...], int] = {}  # clients -> their last piece, as long as nothing lies in between
    for group in plan.groups:
        spans = [weights[c].layout.spans[d - 1] for c, d in zip(group.clients, group.depths, strict=True)]
        first = spans[0]
        length = (first.stop if normalisation == "averaged" else first.normalisation) - first.start
        piece = Piece(group.clients, tuple(span.start for span in spans), length)
        last = open_ends.get(group.clients)
        if last is not None and all(
            start + found[last].length == next_start
            for start, next_start in zip(found[last].starts, piece.starts, strict=True)
        ):
            found[last] = Piece(piece.clients, found[last].starts, found[last].length + length)
        else:
            open_ends[group.clients] = len(found)
            found.append(piece)
    return found


def average_in_place(
    plan: Plan, weights: Sequence[Weights], shares: Sequence[float] | None = None, normalisation: str = "averaged"
) -> None:
    """Replace what the plan averages by its mean in every client's vector.

    Needs memory for one chunk (`CHUNK`), reads and writes every averaged value once, and so is linear in the clients.
    Gives the same bits as `averages`: every mean is accumulated in the order of the clients.

    Args:
        plan: a checked plan.
        weights: of each client, all on one device.
        shares: positive weight of each client's values, or None, as in `averages`.
        normalisation: "averaged" or "local", as in `averages`.
    """
    for piece in pieces(plan, weights, normalisation):
        factors = [1.0 if shares is None else shares[client] for client in piece.clients]
        runs = [
            weights[client].values[start : start + piece.length].split(CHUNK[weights[client].values.device.type])
            for client, start in zip(piece.clients, piece.starts, strict=True)
        ]
        for chunks in zip(*runs, strict=True):
            mean = _mean(chunks, factors)
            for chunk in chunks:
                chunk.copy_(mean)


def apply(
    plan: Plan,
    chains: Sequence[Chain],
    states: Sequence[Mapping[str, Tensor]],
    weights: Sequence[float] | None = None,
    normalisation: str = "averaged",
) -> list[dict[str, Tensor]]:
    """The clients' states after aggregation, all tensors new; arguments as `averages`."""
    new = [{key: tensor.detach().clone() for key, tensor in state.items()} for state in states]
    for means in averages(plan, chains, new, weights, normalisation):
        for client, tensors in means.items():
            for key, mean in tensors.items():
                new[client][key].copy_(mean)
    return new


def bytes_per_round(
    plan: Plan, chains: Sequence[Chain], states: Sequence[Mapping[str, Tensor]], normalisation: str = "averaged"
) -> list[int]:
    """Bytes that each client sends in a round, and as many that it receives: its averaged values as float32.

    Only shapes are read, so `states` may be on the meta device.
    """
    total = [0] * len(chains)
    for group in plan.groups:
        for client, depth in zip(group.clients, group.depths, strict=True):
            keys = averaged_keys(chains[client][depth - 1], normalisation)
            total[client] += BYTES * sum(states[client][key].numel() for key in keys)
    return total
