"""What a plan means, tensor by tensor: the definition that the server is held against, to the bit."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from flexifed.sharing.layers import Chain
from flexifed.sharing.plan import Plan
from flexifed.training.parts import averaged_keys


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


def _mean(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean as a running mean: one extra tensor whatever the number of clients, and exact on equal tensors."""
    assert min(weights) > 0, f"weights of a mean must be positive, got {weights}"
    mean = tensors[0].detach().to(torch.promote_types(tensors[0].dtype, torch.float32), copy=True)
    total = weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total += weight
        mean.lerp_(tensor.detach().to(mean.dtype), weight / total)
    return mean


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
