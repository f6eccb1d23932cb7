"""The figure of the final numbers: the mean over versions of every line of Table 1."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flexifed.analysis import metrics, tables
from flexifed.analysis.finals import MEAN
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks
from flexifed.figures.style import QUIET, colours, grid, label_values, legend_above, panel_title, save, styled

_AROUND: dict[str, Any] = {"marker": "D", "markersize": 9, "markerfacecolor": "none", "linestyle": "none"}


@styled
def draw(table: pd.DataFrame) -> Figure:
    """Mean over versions of every line of Table 1 with its 95 % interval, a panel per block.

    Hollow diamonds: the paper's, where comparable.

    Args:
        table: as `tables.table1` gives it.
    """
    parts = list(blocks(table[table["version"] == MEAN]))
    palette = colours(list(table["strategy"].unique()))
    tallest = max(len(block) for _, block in parts)
    figure, panels = grid(len(parts), height=0.75 + 0.24 * tallest, margin=0.7)
    for panel, (key, block) in zip(panels, parts, strict=True):
        _dots(panel, block, palette)
        panel_title(panel, block_title(*key), 36)
    quantities = [f"{metrics.title(key[0])} [%], mean over versions" for key, _ in parts]
    label_values(figure, panels, quantities, "x")
    handles: list[Artist] = [Line2D([], [], color="black", marker="o", label="ours, mean and 95 % interval over seeds")]
    if table["paper"].notna().any():
        handles.append(Line2D([], [], **_AROUND, color="black", label="paper's Table 1"))
    legend_above(figure, handles, handlelength=2)
    return figure


def _dots(panel: Axes, block: pd.DataFrame, palette: Mapping[str, str]) -> None:
    """One block: strategies from top to bottom."""
    for y, (_, line) in enumerate(block.iterrows()):
        colour = palette[line["strategy"]]
        if line["n_seeds"] == 0:
            panel.text(0.02, y, "missing", transform=panel.get_yaxis_transform(), va="center", color=QUIET)
        if not np.isnan(line["paper"]):
            panel.plot(line["paper"], y, **_AROUND, color=colour)
        panel.plot(line["mean"], y, marker="o", markersize=4.5, color=colour, linestyle="none")
        panel.hlines(y, line["ci95_low"], line["ci95_high"], color=colour, linewidth=2)
    panel.set_yticks(range(len(block)), [title(name) for name in block["strategy"]])
    panel.set_ylim(len(block) - 0.4, -0.6)
    if not block[["mean", "paper"]].notna().any(axis=None):
        panel.set_xticks([])  # nothing is on the axis
    panel.grid(True)


def write(table1: Path, stem: Path) -> None:
    """`draw` of `table1.csv`."""
    save(draw(tables.read(table1)), stem)
