"""The figure of one block's convergence in simulated time: the metric of its data set against the clock."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from flexifed.analysis import metrics, seconds, tables
from flexifed.analysis.finals import MEAN
from flexifed.figures.curves import band_text, curve, seed_counts
from flexifed.figures.style import colours, grid, save, strategy_legend, styled, within_percent, wrapped
from flexifed.sharing.titles import version_title

POINTS = 200
"""Moments at which the curves of several seeds are compared."""
HOUR = 3600.0
LONG = 2 * HOUR
"""Seconds from which on the axis counts hours."""


@styled
def draw(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """The data set's metric after aggregation against simulated seconds: a panel per version, a line per strategy.

    The clocks of seeds differ, so each seed's curve is read between its tests in proportion; a strategy's line ends
    where its shortest run does.

    Args:
        curves: as `seconds.curves` gives them, of one block (dataset, family, protocol).
        table: the block's rows of Table 1, which name the strategies, those that are missing too.
    """
    dataset, family = (str(table[name].iloc[0]) for name in ("dataset", "family"))
    versions = [str(version) for version in table["version"].unique() if version != MEAN]
    palette = colours([str(strategy) for strategy in table["strategy"].unique()])
    unit, named = (HOUR, "hours") if curves["seconds"].max() >= LONG else (1.0, "seconds")
    figure, panels = grid(len(versions), height=2.9, margin=0.9, shared=True)
    for panel, version in zip(panels, versions, strict=True):
        for strategy, lines in curves[curves["version"] == version].groupby("strategy"):
            per_seed = on_common_seconds(lines)
            curve(panel, per_seed.set_axis(per_seed.index / unit), palette[str(strategy)])
        panel.set_title(version_title(family, version))
        panel.set_xlim(left=0)
        panel.grid(True)
        panel.tick_params(labelbottom=True)
    within_percent(panels[0])
    told = band_text(seed_counts(curves))
    figure.supxlabel(wrapped(figure, f"simulated time [{named}]\n{told}"), fontsize=8)
    figure.supylabel(f"{metrics.title(dataset)} [%]", fontsize=9)
    strategy_legend(figure, palette, set(curves["strategy"]))
    return figure


def on_common_seconds(lines: pd.DataFrame) -> pd.DataFrame:
    """The curves of a strategy's seeds at common moments: from where all have been tested to where the first one ends.

    Args:
        lines: columns seed, seconds and value, of one strategy and version.

    Returns:
        Percent, a row for each moment (seconds, ascending) and a column for each seed.
    """
    of = {seed: curve.sort_values("seconds") for seed, curve in lines.groupby("seed")}
    start = max(curve["seconds"].iloc[0] for curve in of.values())
    end = min(curve["seconds"].iloc[-1] for curve in of.values())
    moments = np.linspace(start, end, POINTS) if start < end else np.array([end])
    read = {seed: np.interp(moments, curve["seconds"], curve["value"]) for seed, curve in of.items()}
    return pd.DataFrame(read, index=moments)


def write(cells: Path, table1: Path, stem: Path, *, dataset: str, family: str, protocol: str) -> None:
    """`draw` of one block of `cells.parquet` and `table1.csv`.

    Where no cell of the block is there, the figure says so.
    """
    block, found, table = [dataset, family, protocol], seconds.curves(cells), tables.read(table1)
    of_curves, of_table = ((t[["dataset", "family", "protocol"]] == block).all(axis=1) for t in (found, table))
    save(draw(found[of_curves], table[of_table]), stem)
