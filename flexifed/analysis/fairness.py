"""How evenly a model serves its clients: the spread of their final numbers, as q-FFL reports it (Li et al. 2020, 4).

Only where the protocol tests every client on its own samples (`tested: all`, `test_set: shard`), and for data sets
whose metric single clients have. A client's number is its curve reduced by the protocol's `final` rule, always after
aggregation and of every client, since nothing else is measured of all of them.

Of each seed: mean, variance and standard deviation over the clients (dividing by their number, as these clients are all
there are), and the mean of the worst and of the best tenth, at least one client. Statistics are over the seeds. What a
strategy changes is its number less that of `BASE` in the same block and seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexifed.analysis import finals, metrics, statistics
from flexifed.settings import layout
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

BASE = "fedavg"
"""The strategy that others are compared with."""
TENTH = 0.1

MEASURES = ["mean", "variance", "std", "worst_tenth", "best_tenth"]
"""Percent of the data set's metric; `variance` in percent squared."""
JUDGED = ["variance", "worst_tenth"]
"""What is compared with `BASE`."""
LINE = ["dataset", "family", "strategy", "protocol"]
COLUMNS = [
    *LINE, "n_seeds", "clients",
    *(f"{measure}{end}" for measure in MEASURES for end in ("", "_ci95_low", "_ci95_high")),
    "n_pairs",
    *(f"{measure}_{end}" for measure in JUDGED for end in ("less_base", "less_base_low", "less_base_high", "outcome")),
    "note",
]  # fmt: skip
"""Columns of `fairness`; `less_base` is ours less that of `BASE`, and `outcome` is as in `effects.csv`."""


def of_clients(values: "pd.Series[float]") -> dict[str, float]:
    """`MEASURES` of one seed.

    Args:
        values: percent, one for each client, at least one.
    """
    ordered = np.sort(values.to_numpy(float))
    tenth = max(1, int(TENTH * len(ordered) + 1e-9))
    return {
        "mean": float(ordered.mean()),
        "variance": float(ordered.var()),
        "std": float(ordered.std()),
        "worst_tenth": float(ordered[:tenth].mean()),
        "best_tenth": float(ordered[-tenth:].mean()),
    }


def by_seed(cells: Path, protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """`MEASURES` of every cell that is there and has them.

    Args:
        cells: `cells.parquet`.
        protocols: the study's protocols by name; those that do not test every client on its own samples are left out.

    Returns:
        Columns of the cell, clients (their number) and `MEASURES`.
    """
    found: list[dict[str, Any]] = []
    for name, protocol in protocols.items():
        if layout.tests_everybody(protocol):
            final = replace(protocol.final, clients="all", phase="aggregated")
            curves = metrics.curves(cells, phase=final.phase, mode=final.mode, protocol=name)
            alone = finals.reduce_curve(curves[curves["client"] >= 0], final, protocol.rounds)
            for cell, clients in alone.groupby(finals.CELL, observed=True, sort=False):
                measures = of_clients(100 * clients["value"])
                found.append(dict(zip(finals.CELL, cell, strict=True)) | {"clients": len(clients)} | measures)
    return pd.DataFrame(found, columns=[*finals.CELL, "clients", *MEASURES])


def fairness(seeds: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """A row for each expected line whose protocol tests every client on its own samples.

    Args:
        seeds: as `by_seed` gives it.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.

    Returns:
        `COLUMNS`: each measure is a mean over `n_seeds` seeds, with its 95 % Student t interval; differences are means
        over `n_pairs` seeds that both lines have. A line without a run has no number. `note` names missing seeds.
    """
    found = []
    for row in finals.rows(expected):
        if layout.tests_everybody(protocols[row.protocol]) and metrics.has_single_clients(row.dataset):
            ours, theirs = (finals.of_line(seeds, line) for line in (row, row._replace(strategy=BASE)))
            found.append(_entry(row, ours, theirs if row.strategy != BASE else theirs.iloc[:0]))
    return pd.DataFrame(found, columns=COLUMNS)


def _entry(row: finals.Row, ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, Any]:
    entry: dict[str, Any] = dict(zip(LINE, row, strict=False)) | {"n_seeds": len(ours)}
    entry["clients"] = ours["clients"].mean()
    for measure in MEASURES:
        summary = statistics.summarise(ours[measure])
        entry |= {measure: summary.mean, f"{measure}_ci95_low": summary.ci95_low}
        entry |= {f"{measure}_ci95_high": summary.ci95_high}
    for measure in JUDGED:
        gain = statistics.summarise((ours[measure] - theirs[measure]).dropna())
        entry |= {"n_pairs": gain.n_seeds, f"{measure}_less_base": gain.mean}
        entry |= {f"{measure}_less_base_low": gain.ci95_low, f"{measure}_less_base_high": gain.ci95_high}
        entry |= {f"{measure}_outcome": statistics.outcome(gain) if gain.n_seeds else ""}
    return entry | {"note": finals.missing_seeds(row, ours)}


def write(cells: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> None:
    """Write `fairness.csv`.

    Args:
        cells: `cells.parquet`.
        folder: where the table goes.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
    """
    protocols = finals.of_cells(expected, protocols)
    table = fairness(by_seed(cells, protocols), expected, protocols)
    with files.complete(folder / "fairness.csv") as partial:
        table.to_csv(partial, index=False, float_format="%.4f")
