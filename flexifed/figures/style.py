"""What all figures have in common: style, colours, panels, legends, and files with the same bytes each time."""

import textwrap
from collections.abc import Callable, Container, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from flexifed.analysis.titles import title
from flexifed.system import files

P = ParamSpec("P")
R = TypeVar("R")

STRATEGY_COLOURS = {
    "standalone": "#595959",
    "clustered_fl": "#E69F00",
    "basic_common": "#56B4E9",
    "clustered_common": "#009E73",
    "max_common": "#D55E00",
}
"""One colour per strategy in every figure: Okabe and Ito's colour-blind safe set, with dark grey for their black."""
SPARE_COLOURS = (
    *("#0072B2", "#CC79A7", "#000000", "#F0E442", "#332288", "#117733", "#882255", "#999933"),
    *("#44AA99", "#AA4499", "#661100", "#6699CC", "#DDCC77", "#CC6677"),
)
"""The rest of the set and Paul Tol's muted ones, for strategies that are not in the paper."""

MARKERS = {"standalone": "o", "clustered_fl": "s", "basic_common": "^", "clustered_common": "D", "max_common": "v"}
"""A shape per strategy beside its colour, for print without colour; others are crosses."""
QUIET = "#595959"
"""Colour of what is said beside the data, e.g. that something is missing."""

_DPI = 150
"""Dots per inch of a PNG."""

_STYLE: Any = {
    "svg.hashsalt": "flexifed",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "path.simplify": True,
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run with this module's style and leave matplotlib's settings as they were."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(_STYLE):
            return function(*args, **kwargs)

    return run


def colour_number(strategies: Sequence[str]) -> dict[str, int]:
    """The place of each strategy's colour (see `colours`) in the paper's and then the spare ones."""
    every = [*STRATEGY_COLOURS.values(), *SPARE_COLOURS]
    return {name: every.index(colour) for name, colour in colours(strategies).items()}


@styled
def save(figure: Figure, stem: Path) -> None:
    """Write `{stem}.png` and `{stem}.svg`, without dates or versions in them."""
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
        with files.complete(stem.with_name(stem.name + suffix)) as partial:
            figure.savefig(partial, format=suffix[1:], dpi=_DPI, metadata=metadata)


def colours(strategies: Sequence[str]) -> dict[str, str]:
    """A colour for each strategy: the paper's keep theirs, others take the spare ones by name."""
    others = sorted(set(strategies) - set(STRATEGY_COLOURS))
    spare = {name: SPARE_COLOURS[i % len(SPARE_COLOURS)] for i, name in enumerate(others)}
    return {name: (STRATEGY_COLOURS | spare)[name] for name in strategies}


def grid(n: int, *, height: float, margin: float, shared: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of `n` panels in two columns.

    Args:
        n: panels, at least one.
        height: of a row, in inches.
        margin: height of what is above and below the panels, in inches.
        shared: whether all panels have the same axes.
    """
    columns = min(2, n)
    rows = -(-n // columns)
    figure = Figure(figsize=(4.6 * columns, margin + height * rows))
    panels = list(figure.subplots(rows, columns, sharex=shared, sharey=shared, squeeze=False).flat)
    for panel in panels[n:]:
        panel.remove()
    return figure, panels[:n]


def strategy_legend(figure: Figure, palette: Mapping[str, str], there: Container[str], *more: Artist) -> None:
    """A line for each strategy above the panels, `(missing)` behind those that are not there; then `more`."""
    labels = {name: title(name) + ("" if name in there else " (missing)") for name in palette}
    handles: list[Artist] = [Line2D([], [], color=palette[name], label=labels[name], linewidth=2) for name in palette]
    legend_above(figure, [*handles, *more])


def legend_above(
    figure: Figure, handles: Sequence[Artist], *, at_most: int | None = None, handlelength: float = 1.4
) -> None:
    """A legend above the panels, in as many columns as fit the figure."""
    columns = _columns_that_fit(figure, handles, handlelength)
    columns = min(columns, at_most or columns)
    figure.legend(
        handles=_in_rows(handles, columns),
        loc="outside upper center",
        ncols=columns,
        columnspacing=_COLUMN_SPACING,
        handlelength=handlelength,
        handletextpad=_TEXT_PAD,
    )


_COLUMN_SPACING, _TEXT_PAD = 1.2, 0.8
"""Distances in a legend, in font sizes."""


def _columns_that_fit(figure: Figure, handles: Sequence[Artist], handlelength: float) -> int:
    """Columns of a legend that is not wider than its figure.

    Texts are measured as they are drawn: hinting makes them some percent wider than their outlines.
    """
    font = FontProperties(size=9)
    measure = RendererAgg(1, 1, _DPI).get_text_width_height_descent
    texts = [72 / _DPI * measure(str(one.get_label()), font, ismath=False)[0] for one in handles]
    widths = [9 * (handlelength + _TEXT_PAD + _COLUMN_SPACING) + text for text in texts]
    available = 72 * figure.get_figwidth() + 9 * _COLUMN_SPACING
    for n in range(len(widths), 1, -1):
        if sum(max(widths[column::n]) for column in range(n)) <= available:
            return n
    return 1


def _in_rows(handles: Sequence[Artist], columns: int) -> list[Artist]:
    """Entries in the order in which matplotlib, which fills one column after the other, sets them row by row."""
    return [handle for column in range(columns) for handle in handles[column::columns]]


def sentence(text: str) -> Figure:
    """A figure that says in words why there is none."""
    figure = Figure(figsize=(6.4, 0.8))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def wrapped(figure: Figure, text: str) -> str:
    """Text of 8 points below the panels, in lines that are not longer than the figure is wide."""
    return "\n".join(textwrap.fill(line, int(14 * figure.get_figwidth())) for line in text.split("\n"))


def panel_title(panel: Axes, text: str, columns: int = 44) -> None:
    """A title in lines of so many characters at most."""
    panel.set_title(textwrap.fill(text, columns, break_on_hyphens=False))


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int, heading: str | None = None) -> None:
    """A legend below the panels, in so many columns at most; the heading says what its entries are."""
    columns = min(columns, len(handles))
    figure.legend(
        handles=_in_rows(handles, columns),
        title=heading,
        title_fontsize=8,
        loc="outside lower center",
        ncols=columns,
        handlelength=1,
        columnspacing=1.2,
        fontsize=8,
    )


def label_values(figure: Figure, panels: Sequence[Axes], quantities: Sequence[str], axis: Literal["x", "y"]) -> None:
    """Say what an axis is of: once for the figure where all panels have the same quantity, else at each of them."""
    if len(set(quantities)) == 1:
        getattr(figure, f"sup{axis}label")(quantities[0], fontsize=9)
        return
    for panel, quantity in zip(panels, quantities, strict=True):
        getattr(panel, f"set_{axis}label")(quantity)


def within_percent(panel: Axes) -> None:
    """Cut a panel of percentages at 0 and 100: an interval may leave the scale, the axis does not."""
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, 0), min(high, 100))


def bars_text(table: pd.DataFrame, more: str = "") -> str:
    """What the bars of a table's lines (`n_seeds` in each) are; `more` is said of them where there are any."""
    several = table.loc[table["n_seeds"] > 1, "n_seeds"]
    if several.empty:
        return "one seed: no interval" if table["n_seeds"].any() else "missing: no run of this study is there"
    low, high = several.min(), several.max()
    seeds = str(high) if low == high else f"{low} to {high}"
    return f"bar: 95 % Student t interval over {seeds} seeds{more}"
