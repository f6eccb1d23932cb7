"""The figure of a study's sweep: final numbers against a quantity, a panel per data set and family."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flexifed.analysis import metrics, sweep, tables
from flexifed.analysis.titles import strategy_rank, title
from flexifed.analysis.typeset import by_family
from flexifed.figures.style import (
    MARKERS,
    QUIET,
    bars_text,
    colours,
    grid,
    label_values,
    save,
    strategy_legend,
    styled,
    within_percent,
    wrapped,
)

_SPREAD = 0.25
"""Part of the least distance between two values over which the strategies of one value are spread."""


@styled
def draw(table: pd.DataFrame) -> Figure:
    """Final numbers (mean over versions) with its 95 % interval against the value, a line per strategy.

    The strategies of one value stand side by side. A strategy's line has the values at which the study has it.

    Args:
        table: as `sweep.levels` gives it.
    """
    parts = list(by_family(table))
    palette = colours(sorted(map(str, table["strategy"].unique()), key=strategy_rank))
    values = np.sort(table["level"].unique())
    side_by_side = np.linspace(-0.5, 0.5, len(palette)) if len(palette) > 1 else np.zeros(1)
    shift = dict(zip(palette, _SPREAD * np.diff(values).min() * side_by_side, strict=True))
    figure, panels = grid(len(parts), height=2.9, margin=1.0)
    for panel, (heading, block) in zip(panels, parts, strict=True):
        for strategy, lines in block.groupby("strategy", sort=False):
            _line(panel, lines, shift[str(strategy)], palette[str(strategy)])
        _absent(panel, block)
        panel.set_title(heading)
        panel.set_xticks(values, [f"{value:g}" for value in values])
        panel.set_xlim(values[0] - np.diff(values).min() / 2, values[-1] + np.diff(values).min() / 2)
        panel.grid(True, axis="y")
        within_percent(panel)
    alone = "; without a bar: one seed" if (table["n_seeds"] == 1).any() else ""
    below = [table["over"].iloc[0], bars_text(table, alone), *sweep.remarks(table)]
    figure.supxlabel(wrapped(figure, "\n".join(below)), fontsize=8)
    quantities = [f"final {metrics.title(str(block['dataset'].iloc[0]))} [%], mean over versions" for _, block in parts]
    label_values(figure, panels, quantities, "y")
    strategy_legend(figure, palette, set(table.loc[table["n_seeds"] > 0, "strategy"]))
    return figure


def _line(panel: Axes, lines: pd.DataFrame, shift: float, colour: str) -> None:
    x = lines["level"].to_numpy() + shift
    marker = MARKERS.get(str(lines["strategy"].iloc[0]), "X")
    panel.plot(x, lines["mean"], marker=marker, markersize=4.5, linewidth=1.1, color=colour)
    panel.vlines(x, lines["ci95_low"], lines["ci95_high"], color=colour, linewidth=1.6)


def _absent(panel: Axes, block: pd.DataFrame) -> None:
    """Say at the foot of a panel what was not run."""
    absent = block[block["n_seeds"] == 0].groupby("strategy", sort=False)["level"]
    named = [f"{title(str(name))} at {', '.join(f'{level:g}' for level in levels)}" for name, levels in absent]
    if named:
        text = "\n".join(["missing:", *named])
        panel.text(0.99, 0.02, text, transform=panel.transAxes, ha="right", va="bottom", fontsize=7, color=QUIET)


def write(sweep_csv: Path, stem: Path) -> None:
    """`draw` of `sweep.csv`, as PNG and SVG."""
    save(draw(tables.read(sweep_csv)), stem)
