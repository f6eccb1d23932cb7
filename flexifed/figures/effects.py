"""The figure of a study's effects: a row per level, a marker with its interval per strategy."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flexifed.analysis import effects
from flexifed.analysis.effects_text import by_metric
from flexifed.analysis.titles import strategy_rank, title
from flexifed.analysis.typeset import by_family
from flexifed.figures.style import MARKERS, QUIET, bars_text, colours, legend_above, save, sentence, styled
from flexifed.settings import quantities

_ROW = 0.42
"""Inches for a level."""
_HEADING = 0.65
"""Height of a factor's heading, in heights of a level."""
_SPREAD = 0.74
"""Part of a level's height that its strategies take."""
_BAND = "#F5F5F5"
_RESOLVED = ("raises", "lowers")
_TICK: dict[str, Any] = {"marker": "|", "markersize": 8, "markeredgewidth": 2, "linestyle": "none"}


@styled
def draw(table: pd.DataFrame) -> Figure:
    """Effects with their 95 % intervals, a panel per data set, family and metric, levels under their factors.

    Filled markers: the interval leaves zero out. Ticks beside pairs: the sum of the effects that they combine. Levels
    without a number say `not run`.

    Args:
        table: as `effects.summaries` gives it.
    """
    panels = [*_panels(table)]
    if not panels:
        return sentence("no cells of this study differ in one of its effects alone")
    strategies = sorted(table["strategy"].unique(), key=strategy_rank)
    several = by_metric(table)
    heights = [_ROW * max(_places(block)[0].values()) + 0.6 for _, block in panels]
    figure = Figure(figsize=(9.2, sum(heights) + 0.9))
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (heading, block) in zip(axes, panels, strict=True):
        _panel(panel, block, strategies)
        panel.set_title(heading)
        if several:
            panel.set_xlabel(f"change [{quantities.unit(block['metric'].iloc[0])}]", fontsize=8)
    bars = bars_text(table, "; filled: it leaves zero out; arrow: it leaves the figure")
    figure.supxlabel(bars if several else f"change of the final number [percentage points]\n{bars}", fontsize=8)
    handles: list[Artist] = [Line2D([], [], **_marker(name, strategies), label=title(name)) for name in strategies]
    if (table["quantity"] == "interaction").any():
        handles.append(Line2D([], [], **_TICK, color=QUIET, label="sum of the parts"))
    legend_above(figure, handles, handlelength=1)
    return figure


def _panels(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Headings and lines; metrics are named where there are several."""
    for heading, block in by_family(table):
        for (dataset, metric), lines in block.groupby(["dataset", "metric"], sort=False):
            name = f": {quantities.titles(str(dataset))[str(metric)]}" if by_metric(table) else ""
            yield f"{heading}{name}", lines


def _places(block: pd.DataFrame) -> tuple[dict[str, float], dict[str, float]]:
    """Where levels and the headings of their factors stand, from top to bottom, in heights of a level."""
    levels: dict[str, float] = {}
    factors: dict[str, float] = {}
    top = 0.0
    for factor, lines in block.groupby("factor", sort=False):
        factors[str(factor)] = top + _HEADING / 2
        top += _HEADING
        for level in lines["level"].unique():
            levels[str(level)] = top + 0.5
            top += 1
    return levels, factors


def _marker(strategy: str, strategies: list[str], *, filled: bool = True) -> dict[str, Any]:
    colour = colours(strategies)[strategy]
    face = {"markerfacecolor": colour if filled else "white", "markeredgecolor": colour, "markeredgewidth": 1.2}
    return {"marker": MARKERS.get(strategy, "X"), "markersize": 5, "linestyle": "none", "color": colour, **face}


def _limit(main: pd.DataFrame, sums: Mapping[tuple[str, str], float]) -> float:
    """Half the axis's width: markers and ticks are inside, and intervals up to twice as far as the furthest of them."""
    least = quantities.factor(main["metric"].iloc[0]) / 200
    furthest = np.nanmax([least, *main["difference"].abs(), *(abs(value) for value in sums.values())])
    ends = np.nanmax([furthest, *main["ci95_low"].abs(), *main["ci95_high"].abs()])
    return 1.1 * float(min(2 * furthest, ends))


def _panel(panel: Axes, block: pd.DataFrame, strategies: list[str]) -> None:
    levels, factors = _places(block)
    main, beyond = (block[block["quantity"] == quantity] for quantity in ("effect", "interaction"))
    sums = _sums(main, beyond)
    limit = _limit(main, sums)
    alone = main.groupby("level")["strategy"].nunique().max() == 1
    offsets = np.linspace(-0.5, 0.5, len(strategies)) * _SPREAD if not alone else np.zeros(len(strategies))
    offset = dict(zip(strategies, offsets, strict=True))
    for y in levels.values():
        panel.axhspan(y - 0.46, y + 0.46, color=_BAND, linewidth=0)
    for level, lines in main.groupby("level", sort=False):
        y = levels[str(level)]
        for _, line in lines.iterrows():
            place = y + offset[line["strategy"]]
            _bar(panel, line, place, limit, _marker(line["strategy"], strategies, filled=line["outcome"] in _RESOLVED))
            added = sums.get((line["level"], line["strategy"]), np.nan)
            panel.plot(added, place, **_TICK, color=colours(strategies)[line["strategy"]])
        _absent(panel, lines, y)
    panel.axvline(0, color="black", linewidth=0.9)
    panel.set_xlim(-limit, limit)
    panel.set_ylim(max(levels.values()) + 0.6, 0)
    panel.set_yticks([*factors.values(), *levels.values()], [*factors, *levels])
    for label in panel.get_yticklabels()[: len(factors)]:
        label.set_fontweight("bold")
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", top=True, labeltop=True)  # the panel may be taller than a screen
    panel.grid(True, axis="x")
    panel.spines["left"].set_visible(False)


def _sums(main: pd.DataFrame, beyond: pd.DataFrame) -> Mapping[tuple[str, str], float]:
    """Effect less interaction by level and strategy, where both are means over as many seeds."""
    where = ["level", "strategy"]
    both = main.merge(beyond, on=where, suffixes=("", "_beyond"))
    both = both[both["n_seeds"] == both["n_seeds_beyond"]]
    sums = both["difference"] - both["difference_beyond"]
    return dict(zip(both[where].itertuples(index=False, name=None), sums, strict=True))


def _bar(panel: Axes, line: pd.Series, y: float, limit: float, marker: Mapping[str, Any]) -> None:
    """A marker and its interval, whose ends outside the axis become arrows at its edge."""
    panel.hlines(y, line["ci95_low"], line["ci95_high"], color=marker["color"], linewidth=1.6)
    for end, arrow in ((line["ci95_low"], "<"), (line["ci95_high"], ">")):
        if abs(end) > limit:
            panel.plot(np.copysign(limit, end), y, marker=arrow, markersize=4, color=marker["color"], clip_on=False)
    panel.plot(line["difference"], y, **marker, zorder=3)


def _absent(panel: Axes, lines: pd.DataFrame, y: float) -> None:
    absent = lines[lines["n_seeds"] == 0]
    if absent.empty:
        return
    names = "" if len(absent) == len(lines) else ": " + ", ".join(map(title, absent["strategy"]))
    across = panel.get_yaxis_transform()
    panel.text(0.99, y, f"not run{names}", transform=across, va="center", ha="right", fontsize=7, color=QUIET)


def write(effects_csv: Path, stem: Path) -> None:
    """`draw` of `effects.csv`, as PNG and SVG."""
    save(draw(effects.read(effects_csv)), stem)
