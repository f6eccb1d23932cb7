"""DLRM: a recommendation model of two small networks and a table for each sparse feature (Naumov et al. 2019).

The bottom network takes the dense features to a vector as wide as an embedding, each sparse feature is looked up in its
table, and the dot products of all pairs of these vectors go, beside the bottom vector, through the top network to the
logit of a click. Sizes are those of the FedScale guide: bottom 10-122-64-16, tables of 16, top 512-256-1.

A client holds, trains and sends only the rows that its samples ask for (`Rows`). So weight decay, if there is any, acts
on these rows only.

The guide's mistakes are options, so that what each does can be measured: a sigmoid on what a loss takes for logits
(`sigmoid: trained`), another one in the test (`sigmoid: trained_and_tested`), and batch normalisation after the ReLU in
place of before it or none (`normalisation: after_relu`).
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from flexifed.models._blocks import initialise_defaults, narrow
from flexifed.models._rows import Rows
from flexifed.system.errors import UserError

KIND = "click"
VERSIONS = ("V1",)
TITLES = ("DLRM-6",)
TABLES = True  # clients hold some rows of embedding tables only
ALLOWED = {
    "width": (0.01, 100),
    "embedding": (1, None),
    "sigmoid": ("none", "trained", "trained_and_tested"),
    "normalisation": ("none", "before_relu", "after_relu"),
}

BOTTOM = (61, 32)  # hidden features, in units
TOP = (256, 128)
UNIT = 2


class Dlrm(nn.Module):
    """The model; its tables come first, for they are looked up first.

    The first sparse feature is the user. Its table is a layer of its own, which a strategy may leave with the clients;
    all others are one layer, so that a plan does not depend on how many there are.
    """

    def __init__(self, tables: Sequence[int], bottom: nn.Module, top: nn.Module, width: int, sigmoid: str) -> None:
        super().__init__()
        self.users, self.others = Rows(tables[:1], width, 0), Rows(tables[1:], width, 1)
        self.bottom, self.top, self.sigmoid = bottom, top, sigmoid

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        """`dense` float [N, D] and `sparse` int64 [N, S], row numbers, to logits [N, 1]."""
        users, others = self.users(x["sparse"]), self.others(x["sparse"])
        dense = self.bottom(x["dense"])
        vectors = torch.cat([dense[:, None], users, others], dim=1)
        i, j = torch.triu_indices(vectors.shape[1], vectors.shape[1], 1, device=vectors.device)
        products = (vectors @ vectors.transpose(1, 2))[:, i, j]
        logits: Tensor = self.top(torch.cat([dense, products], dim=1))
        wrong = self.sigmoid == "trained_and_tested" or (self.sigmoid == "trained" and self.training)
        return torch.sigmoid(logits) if wrong else logits


def build(
    version: str,
    shape: tuple[int, ...],
    classes: int,
    *,
    width: float = 1.0,
    embedding: int = 16,
    sigmoid: str = "none",
    normalisation: str = "none",
) -> nn.Module:
    """Build it; input `dense` float [N, D] and `sparse` int64 [N, S], output logits [N, 1].

    Args:
        version: `V1`, the only one.
        shape: (D, rows of the users' table, rows of table 2, ..., rows of table S), S two or more.
        classes: two: no click, and a click.
        width: Factor on the hidden widths of the two networks.
        embedding: Width of the tables, and of what the bottom network ends in.
        sigmoid: Where the output is no logit but its sigmoid, although what follows takes it for a logit: nowhere, in
            training, or in training and in tests.
        normalisation: Batch normalisation of hidden features: none, before the ReLU, or after it.

    Raises:
        UserError: the shape or the number of classes is not allowed.
    """
    if len(shape) < 3 or min(shape) < 1:
        raise UserError(
            f"family 'dlrm' reads dense features, and users and more: (features, rows, rows, ...); got {shape}."
        )
    if classes != 2:
        raise UserError(f"family 'dlrm' tells clicks from what is not clicked, two classes; got {classes}.")
    unit = narrow(UNIT, width)
    dense, *tables = shape
    vectors = 1 + len(tables)
    bottom = _network(dense, [n * unit for n in BOTTOM], embedding, normalisation).append(nn.ReLU())
    top = _network(embedding + math.comb(vectors, 2), [n * unit for n in TOP], 1, normalisation)
    return Dlrm(tables, bottom, top, embedding, sigmoid)


def _network(features: int, hidden: Sequence[int], out: int, normalisation: str) -> nn.Sequential:
    """Linear layers with ReLU between them; the bottom one has another behind the last, as in the authors' code."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, unit in enumerate(hidden, 1):
        parts[f"fc{number}"] = nn.Linear(features, unit)
        steps: dict[str, nn.Module] = {f"relu{number}": nn.ReLU()}
        if normalisation != "none":
            norm = {f"norm{number}": nn.BatchNorm1d(unit)}
            steps = norm | steps if normalisation == "before_relu" else steps | norm
        parts.update(steps)
        features = unit
    parts["output"] = nn.Linear(features, out)
    return nn.Sequential(parts)


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """As facebookresearch/dlrm (`dlrm_s_pytorch.py`): tables uniform within 1/sqrt(rows), weights normal."""
    initialise_defaults(model, generator)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            outputs, inputs = module.weight.shape
            nn.init.normal_(module.weight, std=math.sqrt(2 / (inputs + outputs)), generator=generator)
            nn.init.normal_(module.bias, std=math.sqrt(1 / outputs), generator=generator)
        elif isinstance(module, Rows):
            for table in module.weight.split(module.sizes):
                bound = 1 / math.sqrt(len(table))
                nn.init.uniform_(table, -bound, bound, generator=generator)
