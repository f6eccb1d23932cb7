"""Convergence of a whole study in one figure, a panel per block: the form of the paper's Figure 4."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flexifed.analysis import metrics, tables
from flexifed.analysis.finals import MEAN
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks
from flexifed.figures.curves import band_text, curve, over_versions, rounds_axis, seed_counts
from flexifed.figures.style import (
    QUIET,
    colours,
    grid,
    label_values,
    panel_title,
    save,
    strategy_legend,
    styled,
    within_percent,
    wrapped,
)

PERCENT = 0.01


@styled
def draw(curves: pd.DataFrame, table: pd.DataFrame, *, quantity: str = "", unit: float = PERCENT) -> Figure:
    """A quantity against rounds, mean over the versions: a panel per block, a line per strategy.

    A version's value is the mean over its clients, a seed's the mean over the versions, as in a final number. Panels
    have scales of their own, since data sets differ.

    Args:
        curves: of the whole study: as `metrics.curves` gives them, or rows of another metric.
        table: Table 1 of the study, which names the blocks and strategies, those that are missing too.
        quantity: what the curves are of, with its unit; by default each data set's metric.
        unit: the unit, in that of the curves: 0.01 for percent.
    """
    parts = list(blocks(table[table["version"] == MEAN]))
    palette = colours([str(strategy) for strategy in table["strategy"].unique()])
    figure, panels = grid(len(parts), height=2.7, margin=0.9)
    counts: set[int] = set()
    for panel, (key, block) in zip(panels, parts, strict=True):
        same = curves[(curves[["dataset", "family", "protocol"]] == list(key)).all(axis=1)]
        per_seed = over_versions(same, unit)
        counts |= seed_counts(same)
        for strategy in block.loc[block["strategy"].isin(per_seed.index.unique("strategy")), "strategy"]:
            curve(panel, per_seed.loc[strategy], palette[strategy])
        panel_title(panel, block_title(*key))
        _absent(panel, block)
        rounds_axis(panel)
        if unit == PERCENT:
            within_percent(panel)
    figure.supxlabel(wrapped(figure, f"communication round\n{band_text(counts, 'study', 'the versions')}"), fontsize=8)
    quantities = [f"{quantity or f'{metrics.title(key[0])} [%]'}, mean over versions" for key, _ in parts]
    label_values(figure, panels, quantities, "y")
    strategy_legend(figure, palette, set(table.loc[table["n_seeds"] > 0, "strategy"]))
    return figure


def _absent(panel: Axes, block: pd.DataFrame) -> None:
    """Say which of the block's strategies have no run."""
    absent = [title(name) for name in block.loc[block["n_seeds"] == 0, "strategy"]]
    if len(absent) == len(block):
        panel.text(0.5, 0.5, "missing: no run is there", transform=panel.transAxes, ha="center", color=QUIET)
    elif absent:
        text = f"missing: {', '.join(absent)}"
        panel.text(0.98, 0.03, text, transform=panel.transAxes, ha="right", fontsize=7, color=QUIET)


def write(cells: Path, table1: Path, stem: Path) -> None:
    """`draw` of `cells.parquet` and `table1.csv`, as PNG and SVG."""
    save(draw(metrics.curves(cells, phase="aggregated"), tables.read(table1)), stem)
