"""Oort: FedAvg whose participants are those with high losses on fast devices (Lai et al., OSDI 2021).

`flexifed.selection.oort` says which rules these are, and what each option is; `variant: fedscale` takes those of
FedScale's code where it differs from the paper.
"""

from collections.abc import Iterator

from flexifed.selection.oort import Oort
from flexifed.selection.selector import Known, Selector
from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg

ONE_VERSION = True
ALLOWED = {
    "variant": ("paper", "fedscale"),
    "exploration": (0, 1),
    "exploration_decay": (0, 1),
    "exploration_floor": (0, 1),
    "uncertainty": (0, None),
    "penalty": (0, None),
    "clip": (0, 1),
    "cut_off": (0, 1),
    "pacer_start": (0, 100),
    "pacer_step": (0, 100),
    "pacer_window": (1, None),
    "blacklist_after": (0, None),
    "blacklist_share": (0, 1),
}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def select(
    known: Known,
    *,
    variant: str = "paper",
    exploration: float = 0.9,
    exploration_decay: float = 0.98,
    exploration_floor: float = 0.2,
    uncertainty: float = 0.1,
    penalty: float = 2.0,
    clip: float = 0.95,
    cut_off: float = 0.95,
    pacer_start: float = 30.0,
    pacer_step: float = 5.0,
    pacer_window: int = 20,
    blacklist_after: int = 0,
    blacklist_share: float = 0.3,
) -> Selector:
    """Oort's training selector."""
    return Oort(
        known,
        variant="fedscale" if variant == "fedscale" else "paper",
        exploration=exploration,
        exploration_decay=exploration_decay,
        exploration_floor=exploration_floor,
        uncertainty=uncertainty,
        penalty=penalty,
        clip=clip,
        cut_off=cut_off,
        pacer_start=pacer_start,
        pacer_step=pacer_step,
        pacer_window=pacer_window,
        blacklist_after=blacklist_after,
        blacklist_share=blacklist_share,
    )
