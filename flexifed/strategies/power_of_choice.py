"""Power-of-choice: FedAvg whose participants are, of some candidates, those with the highest losses (Cho et al. 2020).

`variant: asked` is the paper's pow-d, in which candidates say the loss of the present model on their samples; what that
costs them is not counted. `variant: remembered` is its rpow-d: the loss of their last turn.
"""

from collections.abc import Iterator

from flexifed.selection.power_of_choice import PowerOfChoice
from flexifed.selection.selector import Known, Selector
from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg

ONE_VERSION = True
ALLOWED = {"candidates": (1, None), "variant": ("asked", "remembered")}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def select(known: Known, *, candidates: int = 20, variant: str = "asked") -> Selector:
    """Of so many candidates (the paper's d), drawn in proportion to their data, those with the highest losses."""
    return PowerOfChoice(known, candidates=candidates, variant="remembered" if variant == "remembered" else "asked")
