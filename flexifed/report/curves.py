"""Curves that show their values: one JSON for each block, from which the page's script draws them."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from flexifed.analysis import metrics
from flexifed.analysis.finals import MEAN
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks
from flexifed.figures.curves import band, band_text, over_versions, seed_counts
from flexifed.figures.style import colour_number
from flexifed.report.parts import Curves, Sources

PERCENT = 0.01
DECIMALS = 2


def panels(sources: Sources) -> Iterator[Curves]:
    """The blocks that have a run: their metric in percent, right after aggregation, mean over versions, against rounds.

    Its JSON has `title`, `quantity` (the metric), `note` (what line and band are), `rounds`, and `lines` with `name`,
    `colour` (a number), and as many values as there are rounds in each of `mean`, `low` and `high` (the last two are
    null where there is no band, as in the figures).
    """
    if sources.curves_file is None:
        return
    table = sources.table1
    curves = metrics.curves(sources.curves_file, phase="aggregated")
    colours = colour_number([str(name) for name in table["strategy"].unique()])
    for key, block in blocks(table[table["version"] == MEAN]):
        same = curves[(curves[["dataset", "family", "protocol"]] == list(key)).all(axis=1)]
        if same.empty:
            continue
        per_seed = over_versions(same, PERCENT)
        there = [name for name in block["strategy"] if name in per_seed.index.unique("strategy")]
        rounds = sorted({int(number) for number in per_seed.index.unique("round")})
        of = {name: _line(per_seed.loc[name].reindex(rounds)) for name in there}
        lines = [{"name": title(name), "colour": colours[name], **values} for name, values in of.items()]
        note = band_text(seed_counts(same), of="the versions")
        about = {"title": block_title(*key), "quantity": metrics.title(key[0]), "note": note}
        yield Curves(json.dumps({**about, "rounds": rounds, "lines": lines}))


def _line(per_seed: pd.DataFrame) -> dict[str, Any]:
    return dict(zip(("mean", "low", "high"), map(_values, band(per_seed)), strict=True))


def _values(values: np.ndarray | None) -> list[float | None] | None:
    """Rounded; null where there is no number, which JSON has no other word for."""
    return None if values is None else [None if np.isnan(v) else round(float(v), DECIMALS) for v in values]
