"""The figure of the errors against published numbers: a panel per protocol and source, a row per block."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from flexifed.analysis import deviation
from flexifed.analysis.deviation import ALL
from flexifed.analysis.deviation_text import name
from flexifed.analysis.effects_text import points
from flexifed.analysis.finals import MEAN
from flexifed.analysis.titles import strategy_rank, title
from flexifed.figures.style import QUIET, save, sentence, styled

COLOURS = matplotlib.colormaps["RdBu"].with_extremes(bad="#EFEFEF")
"""From red (ours is lower) to blue (ours is higher), which all common kinds of colour blindness tell apart."""
STRONGEST = 10.0
"""Percentage points from which on colours are no stronger."""

_ROW = 0.24
"""Inches for a block."""
_HEADING = 1.15
"""Height of a panel's heading, in heights of a block."""
_DARK = 0.6
"""Part of the strongest colour from which on numbers are white."""
_LEGEND = (
    "ours minus published, mean over versions [percentage points]; red: ours is lower, blue: ours is higher\n"
    "bold: the published number is outside our interval; frame: the source that the protocol is meant to reproduce; "
    "grey: not compared"
)


@styled
def draw(errors: pd.DataFrame) -> Figure:
    """Error of the mean over versions by block and strategy, a column of panels per source, a row per setting.

    Above a panel stands the mean absolute error of all its numbers, each version's for itself. Settings and sources
    that nothing is compared with are left out; a figure without a panel says so.

    Args:
        errors: as `deviation.by_cell` gives it.
    """
    totals = deviation.in_all(errors)
    totals = totals[(totals["dataset"] == ALL) & (totals["n_compared"] > 0)]
    if totals.empty:
        return sentence("no line of this study may be set beside a published number")
    means = errors[errors["version"] == MEAN].assign(protocols=errors["protocol"].map(deviation.groups(errors)))
    settings, sources = (list(totals[key].unique()) for key in ("protocols", "source"))
    sources.sort(key=list(errors["source"].unique()).index)
    strategies = sorted(means.loc[means["source"].isin(sources), "strategy"].unique(), key=strategy_rank)
    parts = [means[means["protocols"] == setting] for setting in settings]
    rows = [list(dict.fromkeys(zip(part["dataset"], part["family"], strict=True))) for part in parts]
    heights = [_ROW * (len(blocks) + _HEADING) for blocks in rows]
    wide = 2.2 + len(sources) * (0.44 * len(strategies) + 0.1)
    figure = Figure(figsize=(max(7.4, wide), sum(heights) + 0.1 * len(parts) + 2.2))
    panels = figure.subplots(len(parts), len(sources), squeeze=False, height_ratios=heights, sharex=True)
    strongest = min(STRONGEST, max(1.0, means["error"].abs().max()))
    for column, source in enumerate(sources):
        for panel, part, blocks in zip(panels[:, column], parts, rows, strict=True):
            lines = part[part["source"] == source]
            _panel(panel, lines, blocks, strategies, Normalize(-strongest, strongest))
            same = (totals["protocols"] == part["protocols"].iloc[0]) & (totals["source"] == source)
            _heading(panel, totals[same], len(blocks), len(strategies))
        panels[0, column].set_title(source.replace("/", "/\n"), fontsize=9)
        panels[0, column].tick_params(labeltop=True)
        panels[0, column].set_xticks(range(len(strategies)), map(title, strategies), rotation=90)
    for panel, part, blocks in zip(panels[:, 0], parts, rows, strict=True):
        labels = [f"{title(dataset)}, {title(family)}" for dataset, family in blocks]
        panel.set_yticks([-0.5 - _HEADING / 2, *range(len(blocks))], [name(*_names(part)), *labels])
        panel.get_yticklabels()[0].set_fontweight("bold")
    figure.supxlabel(_LEGEND, fontsize=8)
    return figure


def _names(part: pd.DataFrame) -> tuple[str, str]:
    return part["protocols"].iloc[0], part["preset"].iloc[0]


def _panel(
    panel: Axes, lines: pd.DataFrame, blocks: list[tuple[str, str]], strategies: list[str], scale: Normalize
) -> None:
    """A cell per block and strategy, with its number."""
    values = np.full((len(blocks), len(strategies)), np.nan)
    for _, line in lines[lines["error"].notna()].iterrows():
        y, x = blocks.index((line["dataset"], line["family"])), strategies.index(line["strategy"])
        values[y, x] = line["error"]
        colour = "white" if abs(2 * scale(line["error"]) - 1) > _DARK else "black"
        weight = "bold" if line["published_is"] in ("above", "below") else "normal"
        panel.text(x, y, points(line["error"]), ha="center", va="center", fontsize=7, weight=weight, color=colour)
    panel.imshow(np.ma.masked_invalid(values), cmap=COLOURS, norm=scale, aspect="auto")
    panel.set_ylim(len(blocks) - 0.5, -0.5 - _HEADING)
    panel.hlines(np.arange(len(blocks) - 1) + 0.5, -0.5, len(strategies) - 0.5, color="white", linewidth=1)
    panel.set_xlim(-0.5, len(strategies) - 0.5)
    panel.set_yticks([])
    panel.tick_params(length=0, labelbottom=False)
    panel.spines[:].set_visible(False)


def _heading(panel: Axes, total: pd.DataFrame, blocks: int, strategies: int) -> None:
    """The mean absolute error, and a frame around the setting's own source."""
    text = "not compared"
    for _, line in total.iterrows():
        text = f"mean absolute {line['mean_absolute_error']:.1f}, {line['n_compared']} numbers"
        if line["own_source"]:
            panel.add_patch(Rectangle((-0.5, -0.5), strategies, blocks, fill=False, linewidth=1.4, clip_on=False))
    panel.text(-0.5, -0.5 - _HEADING / 2, text, va="center", fontsize=7, color="black" if len(total) else QUIET)


def write(errors_csv: Path, stem: Path) -> None:
    """`draw` of `errors.csv`, as PNG and SVG."""
    save(draw(deviation.read(errors_csv)), stem)
