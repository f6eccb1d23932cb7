"""The figure of a look-up table: what each tier can afford, and what its member takes, for every way to cut one."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from flexifed.elastic import budgets
from flexifed.elastic.budgets import CUTS, Table
from flexifed.figures.style import QUIET, legend_above, save, styled
from flexifed.settings import registry
from flexifed.sharing.titles import version_title

_STYLES = dict(zip(CUTS, (("#E69F00", "s"), ("#56B4E9", "^"), ("#009E73", "D"), ("#D55E00", "o")), strict=True))
"""Colour and marker by way to cut: Okabe and Ito's, as strategies have them."""
_APART = 0.17
"""Between the ways of one tier, of the distance between two tiers."""


@styled
def draw(table: Table) -> Figure:
    """A group per tier: a line at its budget, and a mark for each way to cut at what the member takes.

    Both are shares of what the largest version takes, on a logarithmic axis. A way that leaves a tier without a member
    has no marks, and its legend says so.
    """
    figure = Figure(figsize=(6.4, 3.2))
    panel = figure.subplots()
    tiers = list(table.levels)
    for x, tier in enumerate(tiers):
        panel.hlines(table.levels[tier], x - 0.42, x + 0.42, color=QUIET, linewidth=1.2)
    for number, cuts in enumerate(CUTS):
        if cuts in table.taken:
            places = np.arange(len(tiers)) + (number - (len(CUTS) - 1) / 2) * _APART
            colour, marker = _STYLES[cuts]
            panel.plot(places, [table.taken[cuts][tier] for tier in tiers], marker, color=colour, markersize=6)
    _axes(panel, table)
    legend_above(
        figure, [Line2D([], [], color=QUIET, linewidth=1.2, label="budget"), *(_entry(table, cuts) for cuts in CUTS)]
    )
    return figure


def _axes(panel: Axes, table: Table) -> None:
    """Ticks are the budgets themselves."""
    largest = version_title(table.family, registry.constant("family", table.family, "VERSIONS")[-1])
    panel.set_yscale("log")
    panel.set_yticks(list(table.levels.values()))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.4g}"))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.grid(axis="y")
    panel.set_xticks(range(len(table.levels)), list(table.levels))
    panel.tick_params(axis="x", length=0)
    panel.set_ylabel(f"share of {largest}'s\n{budgets.words(table.measure)}")


def _entry(table: Table, cuts: str) -> Line2D:
    colour, marker = _STYLES[cuts]
    none = "" if cuts in table.taken else " (a tier has no member)"
    return Line2D([], [], color=colour, marker=marker, linestyle="none", label=f"{cuts.replace('_', ' ')}{none}")


def write(table_file: Path, stem: Path, **_: str) -> None:
    """`draw` of a table's file; further arguments say of what it is, which the file's name does."""
    save(draw(budgets.read(table_file)), stem)
