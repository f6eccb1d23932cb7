"""The masks of the members that tiers hold, cut from those of the family's largest version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from flexifed.elastic import masks
from flexifed.elastic.masks import Masks
from flexifed.settings.job import Job
from flexifed.settings.protocol import Pruning
from flexifed.sharing import planning
from flexifed.sharing.layers import Chain, chain
from flexifed.sharing.plan import Plan
from flexifed.sharing.regions import Member
from flexifed.system.errors import UserError
from flexifed.training.weights import Layout, Weights


def tier_masks(
    job: Job,
    path: Path,
    card: Mapping[str, Any],
    the_plan: Plan,
    chains: Mapping[str, Chain],
    layouts: Mapping[str, Layout],
    device: torch.device,
) -> dict[str, Weights]:
    """By tier whose member is sparse, 1 where a value of it exists and 0 elsewhere, from the largest version's masks.

    Layers that the largest version does not have are not masked.

    Raises:
        UserError: the masks are of another model, or pruning has ended before a sparsity that a tier needs.
    """
    assert the_plan.largest is not None and job.protocol.budgets is not None
    whole = planning.build_member(
        job.cell.family, Member(the_plan.largest), tuple(card["shape"]), len(card["classes"]), job.family_options
    )
    pruned = masks.read(path, job.cell.family, the_plan.largest, masks.prunable(whole))
    keys = {layer.name: layer.weights[0] for layer in chain(whole)}
    found = {}
    for tier, member in the_plan.members.items():
        if member.sparsity:
            client = the_plan.versions.index(tier)
            kept = pruned.kept_after(_round_of(job.protocol.budgets.pruning, pruned, tier, member))
            own = {
                chains[tier][group.depths[group.clients.index(client)] - 1].weights[0]: kept[keys[group.layer]]
                for group in the_plan.groups
                if group.window and client in group.clients
            }
            found[tier] = masks.as_weights(own, layouts[tier], device)
    return found


def _round_of(pruning: Pruning, pruned: Masks, tier: str, member: Member) -> int:
    """The round of pruning after which a member is as sparse as it is to be.

    Raises:
        UserError: pruning has ended before.
    """
    number = pruning.round_of(member.sparsity)
    if number > pruned.rounds:
        raise UserError(
            f"tier {tier!r} holds {member.version} at a sparsity of {member.sparsity:.3f}, and pruning ended after "
            f"{pruned.rounds} rounds, at {pruned.sparsities[-1]:.3f}, since accuracy fell by more than `tolerance`. "
            f"Raise `budgets.pruning.tolerance`, or let tiers do with less sparse members: `budgets.sparsest` of "
            f"{pruned.sparsities[-1]:.3f} or less, higher `budgets.levels`."
        )
    return number
