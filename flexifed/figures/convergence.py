"""The figure of one block's convergence: the metric of its data set against rounds, a panel per version."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flexifed.analysis import metrics, tables
from flexifed.analysis.finals import MEAN
from flexifed.figures.curves import band_text, curve, rounds_axis, seed_counts
from flexifed.figures.style import colours, grid, save, strategy_legend, styled, within_percent, wrapped
from flexifed.sharing.titles import version_title

_HOLLOW: dict[str, Any] = {"markersize": 6, "markerfacecolor": "white", "linestyle": "none"}


@styled
def draw(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """The data set's metric after aggregation against rounds, in the manner of the paper's Figure 4.

    A panel per version, a line per strategy.

    Args:
        curves: as `metrics.curves` gives them, of one block (dataset, family, protocol), phase `aggregated`.
        table: the block's rows of Table 1. It names the strategies, those that are missing too, and holds the paper's
            numbers where they are comparable: hollow triangles at the right margin.

    Returns:
        A figure that says under its panels what the lines and bands are.
    """
    family = str(table["family"].iloc[0])
    versions = [str(version) for version in table["version"].unique() if version != MEAN]
    palette = colours([str(strategy) for strategy in table["strategy"].unique()])
    line = ["strategy", "version", "round", "seed"]
    per_seed = 100 * curves.groupby(line, observed=True)["value"].mean().unstack("seed")
    counts = seed_counts(curves)
    figure, panels = grid(len(versions), height=2.9, margin=0.9, shared=True)
    for panel, version in zip(panels, versions, strict=True):
        for _, entry in table[table["version"] == version].iterrows():
            colour = palette[entry["strategy"]]
            if entry["n_seeds"] > 0:
                curve(panel, per_seed.loc[(entry["strategy"], version)], colour)
            if not np.isnan(entry["paper"]):
                margin = panel.get_yaxis_transform()
                panel.plot(1.025, entry["paper"], **_HOLLOW, marker="<", color=colour, clip_on=False, transform=margin)
        panel.set_title(version_title(family, version))
        rounds_axis(panel)
    within_percent(panels[0])
    figure.supxlabel(wrapped(figure, f"communication round\n{band_text(counts)}"), fontsize=8)
    figure.supylabel(f"{metrics.title(str(table['dataset'].iloc[0]))} [%]", fontsize=9)
    there = set(table.loc[table["n_seeds"] > 0, "strategy"])
    published = [Line2D([], [], **_HOLLOW, marker="<", color="black", label="paper's Table 1")]
    strategy_legend(figure, palette, there, *(published if table["paper"].notna().any() else []))
    return figure


def write(cells: Path, table1: Path, stem: Path, *, dataset: str, family: str, protocol: str) -> None:
    """`draw` of one block of `cells.parquet` and `table1.csv`.

    Where no cell of the block is there, the figure says so.
    """
    curves = metrics.curves(cells, phase="aggregated", dataset=dataset, family=family, protocol=protocol)
    table = tables.read(table1)
    same = (table[["dataset", "family", "protocol"]] == [dataset, family, protocol]).all(axis=1)
    save(draw(curves, table[same]), stem)
