"""What the numbers of a data set are of: the metric of its task, and its name for people.

Tables, curves and verdicts hold it in percent, and differences in percentage points, whatever the metric is: an area
under the curve of 0.753 is 75.3.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from flexifed.analysis.collect import CELL, read_curves
from flexifed.analysis.titles import title as title_of
from flexifed.settings import quantities, registry
from flexifed.training.history import TOGETHER

Mode = Literal["eval", "train"]
"""Tested in `eval()`, or in training mode as the authors' script tests."""

title = registry.metric_title
"""The metric of a data set as people read it."""

_SUFFIX = {"eval": "", "train": "_train_mode"}


def name(dataset: str, mode: str = "eval") -> str:
    """The metric of a data set as histories name it: `accuracy`, `auc_train_mode`.

    Raises:
        UserError: the data set is not known.
    """
    return f"{quantities.own(dataset)}{_SUFFIX[mode]}"


def has_single_clients(dataset: str) -> bool:
    """Whether single clients have the metric, as a mean over samples; else it is of their scores together."""
    of_scores: bool = registry.load("task", registry.task(dataset)).TASK.SCORES
    return not of_scores


def titles(datasets: Iterable[str]) -> str:
    """The metric of several data sets; where they have several: `accuracy (CIFAR-10) and AUC (Movielens)`."""
    of: dict[str, list[str]] = {}
    for dataset in dict.fromkeys(datasets):
        of.setdefault(title(dataset), []).append(title_of(dataset))
    if len(of) == 1:
        return next(iter(of))
    return " and ".join(f"{metric} ({', '.join(names)})" for metric, names in of.items())


def capital(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def curves(cells: Path, *, phase: str, mode: str = "eval", metric: str | None = None, **equal: str) -> pd.DataFrame:
    """The rows of `cells.parquet` that hold each data set's own metric, or another one that is named.

    Where a cell has the metric of its clients together, which it then has of none alone, these are its rows; the
    column `client` is `history.TOGETHER` there. So no mean over clients mixes the two.

    Args:
        cells: `cells.parquet`.
        phase: `local` or `aggregated`.
        mode: see `Mode`.
        metric: as histories name it, e.g. `loss`; each data set's own where not given.
        equal: further columns that must have a value, e.g. `protocol="official"`.

    Returns:
        The columns of `collect.CURVES`; values 0 .. 1, but for the loss, which is in nats.
    """
    if metric is not None:
        return _one_kind(read_curves(cells, phase=phase, metric=f"{metric}{_SUFFIX[mode]}", **equal))
    wanted = {f"{registry.constant('task', task, 'METRIC')}{_SUFFIX[mode]}" for task in registry.names("task")}
    table = read_curves(cells, phase=phase, metric=sorted(wanted), **equal)
    own = np.zeros(len(table), dtype=bool)
    for dataset in table["dataset"].unique():
        own |= ((table["dataset"] == dataset) & (table["metric"] == name(dataset, mode))).to_numpy()
    return _one_kind(table[own])


def _one_kind(table: pd.DataFrame) -> pd.DataFrame:
    """Without single clients in cells that have rows of their clients together."""
    together = table["client"] == TOGETHER
    if not together.any():
        return table
    pooled = table.groupby(CELL, observed=True)["client"].transform("min") == TOGETHER
    return table[together | ~pooled]
