"""The figure of a study's costs: final numbers against what a client has sent and received, a panel per block."""

import math
import textwrap
from pathlib import Path
from typing import Final

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from flexifed.analysis import finals, metrics, speed, tables
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks
from flexifed.figures.style import QUIET, colours, grid, label_values, legend_above, panel_title, save, styled

_TARGET: Final = ":"
"""Line style of the target."""


@styled
def draw(curves: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """Mean over versions and seeds against megabytes per client; strategies that send nothing are a line at their end.

    Args:
        curves: as `speed.curves` gives it.
        costs: as `costs.costs` gives it; it names the strategies, those that are missing too.

    Returns:
        A figure that says under its panels what the lines are. They have no bands: strategies that differ little in
        bytes lie on each other, and `final_numbers` has the intervals of where they end.
    """
    parts = list(blocks(costs))
    figure, panels = grid(len(parts), height=2.9, margin=1.3)
    palette = colours(list(costs["strategy"].unique()))
    means = curves[curves["version"] == finals.MEAN]
    for panel, ((dataset, family, protocol), block) in zip(panels, parts, strict=True):
        same = (means[["dataset", "family", "protocol"]] == [dataset, family, protocol]).all(axis=1)
        _panel(panel, means[same], block, palette)
        panel_title(panel, block_title(dataset, family, protocol))
    figure.supxlabel(
        "sent and received since the start [MB per client, mean over clients]\n"
        "line: mean over versions and seeds\n"
        "dashed: no bytes at all, drawn at its final number",
        fontsize=8,
    )
    quantities = [f"{metrics.title(key[0])} after aggregation [%]" for key, _ in parts]
    label_values(figure, panels, quantities, "y")
    silent = set(costs.loc[costs["mb_in_all"] == 0, "strategy"])
    handles: list[Artist] = [
        Line2D([], [], color=palette[name], linewidth=2, linestyle="--" if name in silent else "-", label=title(name))
        for name in palette
    ]
    if costs["target"].notna().any():
        text = f"target: {100 * speed.FRACTION:.0f} % of {title(speed.YARDSTICK)}'s final number"
        handles.append(Line2D([], [], color="black", linestyle=_TARGET, label=text))
    legend_above(figure, handles, at_most=3, handlelength=1.9)
    return figure


def _panel(panel: Axes, means: pd.DataFrame, block: pd.DataFrame, palette: dict[str, str]) -> None:
    """One block."""
    absent = [title(name) for name in block.loc[block["n_seeds"] == 0, "strategy"]]
    if len(absent) == len(block):
        panel.set(xticks=[], yticks=[])
        panel.text(
            0.5, 0.5, "missing: no run of this block is there", transform=panel.transAxes, ha="center", color=QUIET
        )
        return
    panel.set_xscale("log")
    for line in block.to_dict("records"):
        colour, per_round = palette[line["strategy"]], line["mb_up"] + line["mb_down"]
        if per_round == 0:
            panel.axhline(line["accuracy"], color=colour, linestyle="--", linewidth=1.1)
            continue
        curve = means[means["strategy"] == line["strategy"]].groupby("round")["value"].mean()
        panel.plot(
            per_round * curve.index, curve, color=colour, linewidth=1.1, marker="o", markevery=[-1], markersize=4
        )
    target = block.loc[block["strategy"] == speed.YARDSTICK, "target"].mean()
    panel.axhline(target, color="black", linestyle=_TARGET, linewidth=1)
    if absent:
        text = textwrap.fill(f"missing: {', '.join(absent)}", width=50)
        panel.text(0.02, 0.02, text, transform=panel.transAxes, fontsize=7, color=QUIET)
    panel.grid(True)
    _megabytes(panel)


def _megabytes(panel: Axes) -> None:
    """Ticks at powers of ten, with steps between where the axis spans few; all labels are plain numbers."""
    low, high = panel.get_xlim()
    steps = (1, 2, 5) if math.log10(high / low) < 2 else (1,)
    panel.xaxis.set_major_locator(LogLocator(subs=steps, numticks=8))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda megabytes, _: f"{megabytes:,g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())


def write(cells: Path, costs_csv: Path, stem: Path) -> None:
    """`draw` of `cells.parquet` and `costs.csv`, as PNG and SVG."""
    save(draw(speed.curves(cells), tables.read(costs_csv)), stem)
