"""Figures: pure functions from tables and plans to matplotlib figures, saved with the same bytes each time."""

from collections.abc import Callable, Container, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from scipy import stats

from flexifed import files, partition, plan, samples
from flexifed.collect import read_curves
from flexifed.partition import ClientSamples
from flexifed.plan import Plan
from flexifed.tables import MEAN
from flexifed.titles import strategy_rank, title, version_title
from flexifed.typeset import block_title, blocks

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
SPARE_COLOURS = ("#0072B2", "#CC79A7", "#000000", "#F0E442")
"""The rest of the set, for strategies that are not in the paper."""

MARKERS = {"standalone": "o", "clustered_fl": "s", "basic_common": "^", "clustered_common": "D", "max_common": "v"}
"""A shape per strategy beside its colour, for print without colour; others are crosses."""
QUIET = "#595959"
"""Colour of what is said beside the data, e.g. that something is missing."""
PERSONAL = "#E3E3E3"
"""Colour of a layer that a client averages with nobody."""

_HOLLOW: dict[str, Any] = {"markersize": 6, "markerfacecolor": "white", "linestyle": "none"}

_AROUND: dict[str, Any] = {"marker": "D", "markersize": 9, "markerfacecolor": "none", "linestyle": "none"}

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


@styled
def save(figure: Figure, stem: Path) -> None:
    """Write `{stem}.png` (150 dots per inch) and `{stem}.svg`, without dates or versions in them."""
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None, "Creator": None})):
        with files.complete(stem.with_name(stem.name + suffix)) as partial:
            figure.savefig(partial, format=suffix[1:], dpi=150, metadata=metadata)


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
    handles += more
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.2, handlelength=1.4)


# Convergence


@styled
def convergence(curves: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Accuracy after aggregation against rounds, in the manner of the paper's Figure 4.

    A panel per version, a line per strategy.

    Args:
        curves: rows of `cells.parquet` of one block (dataset, family, protocol), phase `aggregated`, metric `accuracy`.
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
    n_seeds = least_seeds(curves)
    figure, panels = grid(len(versions), height=2.9, margin=0.9, shared=True)
    for panel, version in zip(panels, versions, strict=True):
        for _, entry in table[table["version"] == version].iterrows():
            colour = palette[entry["strategy"]]
            if entry["n_seeds"] > 0:
                curve(panel, per_seed.loc[(entry["strategy"], version)], colour, n_seeds)
            if not np.isnan(entry["paper"]):
                margin = panel.get_yaxis_transform()
                panel.plot(1.025, entry["paper"], **_HOLLOW, marker="<", color=colour, clip_on=False, transform=margin)
        panel.set_title(version_title(family, version))
        rounds_axis(panel)
    within_percent(panels[0])
    figure.supxlabel(f"communication round\n{band_text(n_seeds)}", fontsize=8)
    figure.supylabel("accuracy [%]", fontsize=9)
    there = set(table.loc[table["n_seeds"] > 0, "strategy"])
    published = [Line2D([], [], **_HOLLOW, marker="<", color="black", label="paper's Table 1")]
    strategy_legend(figure, palette, there, *(published if table["paper"].notna().any() else []))
    return figure


def least_seeds(curves: pd.DataFrame) -> int:
    """How many seeds every strategy of these curves has at least; 0 without curves."""
    return int(curves.groupby("strategy", observed=True)["seed"].nunique().min()) if len(curves) else 0


def rounds_axis(panel: Axes) -> None:
    """Whole rounds along a panel with a grid."""
    panel.grid(True)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.tick_params(labelbottom=True)


def within_percent(panel: Axes) -> None:
    """Cut a panel of percentages at 0 and 100: an interval may leave the scale, the axis does not."""
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, 0), min(high, 100))


def band_text(n_seeds: int, of: str = "the clients of the version") -> str:
    """What a line (a mean over `of` and the seeds) and its band are, for the seeds that every strategy has at least."""
    if n_seeds == 0:
        return "missing: no run of this block is there"
    if n_seeds == 1:
        return f"line: mean over {of}, one seed"
    band = "range of the two seeds" if n_seeds == 2 else "95 % Student t interval over the seeds"
    return f"line: mean over {of} and {n_seeds} seeds; band: {band}"


def curve(panel: Axes, per_seed: pd.DataFrame, colour: str, n_seeds: int) -> None:
    """A line (mean over the columns, which are seeds) and its band, if there are seeds for one."""
    rounds, values = per_seed.index.to_numpy(), per_seed.to_numpy()
    mean = np.nanmean(values, axis=1)
    panel.plot(rounds, mean, color=colour, linewidth=1.1, marker="o" if len(rounds) == 1 else None)
    if n_seeds == 2:
        low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    elif n_seeds > 2:
        n = np.sum(~np.isnan(values), axis=1)
        half = stats.t.ppf(0.975, n - 1) * np.nanstd(values, axis=1, ddof=1) / np.sqrt(n)
        low, high = mean - half, mean + half
    else:
        return
    panel.fill_between(rounds, low, high, color=colour, alpha=0.18, linewidth=0)


# Final numbers


@styled
def final_numbers(table: pd.DataFrame) -> Figure:
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
        panel.set_title(block_title(*key))
    figure.supxlabel("accuracy [%], mean over versions", fontsize=9)
    handles: list[Artist] = [Line2D([], [], color="black", marker="o", label="ours, mean and 95 % interval over seeds")]
    if table["paper"].notna().any():
        handles.append(Line2D([], [], **_AROUND, color="black", label="paper's Table 1"))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
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
    panel.grid(True)


# Class mix


@styled
def class_mix(
    clients: Sequence[ClientSamples], train_labels: np.ndarray, test_labels: np.ndarray, classes: Sequence[str]
) -> Figure:
    """Each client's samples by class, training set on the left and test set on the right.

    Args:
        clients: the partition.
        train_labels: int64 [N], the class of each training sample.
        test_labels: int64 [M], the class of each test sample.
        classes: class names.
    """
    figure = Figure(figsize=(9.2, 1.4 + 0.26 * len(clients) + 0.17 * -(-len(classes) // 8)))
    panels = figure.subplots(1, 2, sharey=True)
    palette, rows = _class_colours(len(classes)), range(len(clients))
    for panel, split, labels in zip(panels, ("train", "test"), (train_labels, test_labels), strict=True):
        held = [labels[getattr(client, split)] for client in clients]
        counts = np.array([np.bincount(label, minlength=len(classes)) for label in held])
        left = np.cumsum(counts, axis=1) - counts
        for c, colour in enumerate(palette):
            panel.barh(rows, counts[:, c], left=left[:, c], color=colour, height=0.82, edgecolor="white", linewidth=0.3)
        panel.set_title({"train": "training samples", "test": "test samples"}[split])
    panels[0].set_yticks(rows, [f"client {i}" for i in rows])
    panels[0].set_ylim(len(clients) - 0.4, -0.6)
    handles: list[Artist] = [Patch(color=colour, label=name) for colour, name in zip(palette, classes, strict=True)]
    _legend_below(figure, handles, 8)
    return figure


def _class_colours(n: int) -> list[Any]:
    """Distinct colours for up to ten classes; more are spaced over a colour map, in the order of the classes."""
    if n <= 10:
        return [matplotlib.colormaps["tab10"](i) for i in range(n)]
    return [matplotlib.colormaps["turbo"](i / (n - 1)) for i in range(n)]


def _legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    columns = min(columns, len(handles))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=columns, handlelength=1, columnspacing=1.2, fontsize=8
    )


# Who shares what


@styled
def sharing(plans: Sequence[Plan]) -> Figure:
    """Who averages which layer with whom: a panel per plan, a row per client, a column per layer from input to output.

    Cells of one colour in a column are averaged together; a colour is the same set of clients everywhere. Grey is kept
    personal, blank is beyond the last layer of the client's version. Fully connected layers that are averaged across
    versions have one colour and stand in different columns.

    Args:
        plans: of one family and the same clients, at least one.
    """
    family, versions = plans[0].family, plans[0].versions
    ranked = sorted(plans, key=lambda one: strategy_rank(one.strategy))
    sets = {frozenset(group.clients) for one in ranked for group in one.groups}
    ordered = sorted(sets, key=lambda clients: (-len(clients), sorted(clients)))
    palette = {clients: _SET_COLOURS[i % len(_SET_COLOURS)] for i, clients in enumerate(ordered)}
    row = 0.13 if len(versions) <= 12 else 0.05
    figure = Figure(figsize=(9.2, 0.9 + len(ranked) * (0.45 + row * len(versions)) + 0.05 * len(ordered)))
    panels = figure.subplots(len(ranked), 1, sharex=True, squeeze=False)[:, 0]
    for panel, one in zip(panels, ranked, strict=True):
        _sharing_panel(panel, one, palette)
    panels[-1].set_xlabel("layer, from input to output")
    handles = [Patch(color=c, label=_clients_text(family, versions, clients)) for clients, c in palette.items()]
    _legend_below(figure, [*handles, Patch(color=PERSONAL, label="personal")], 4)
    return figure


_SET_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#117733", "#999933",
)  # fmt: skip
"""Paul Tol's muted set, colour-blind safe; none of them stands for a strategy."""


def _sharing_panel(panel: Axes, one: Plan, palette: Mapping[frozenset[int], str]) -> None:
    """One plan."""
    lengths = [len(one.layers[version]) for version in one.versions]
    fill = {(client, depth): PERSONAL for client, n in enumerate(lengths) for depth in range(1, n + 1)}
    for group in one.groups:
        fill |= dict.fromkeys(zip(group.clients, group.depths, strict=True), palette[frozenset(group.clients)])
    for (client, depth), colour in fill.items():
        panel.add_patch(Rectangle((depth - 0.46, client - 0.44), 0.92, 0.88, facecolor=colour))
    longest = max(lengths)
    panel.set_xticks(range(1, longest + 1) if longest <= 24 else [1, *range(5, longest + 1, 5)])
    panel.set_xlim(0.4, longest + 0.6)
    panel.set_ylim(len(lengths) - 0.4, -0.6)
    middle = {v: np.mean([i for i, w in enumerate(one.versions) if w == v]) for v in one.versions}
    panel.set_yticks(list(middle.values()), [version_title(one.family, version) for version in middle])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_title(title(one.strategy))


def _clients_text(family: str, versions: Sequence[str], clients: frozenset[int]) -> str:
    """`all clients`, the versions if they are all there, else the numbers of the clients."""
    if len(clients) == len(versions):
        return "all clients"
    there = dict.fromkeys(versions[client] for client in sorted(clients))
    if len(clients) == sum(version in there for version in versions):
        return ", ".join(version_title(family, version) for version in there)
    return "clients " + ", ".join(map(str, sorted(clients)))


# From files to files


def write_convergence(cells: Path, table1: Path, stem: Path, *, dataset: str, family: str, protocol: str) -> None:
    """`convergence` of one block of `cells.parquet` and `table1.csv`.

    Where no cell of the block is there, the figure says so.
    """
    curves = read_curves(
        cells, dataset=dataset, family=family, protocol=protocol, phase="aggregated", metric="accuracy"
    )
    table = pd.read_csv(table1)
    same = (table[["dataset", "family", "protocol"]] == [dataset, family, protocol]).all(axis=1)
    save(convergence(curves, table[same]), stem)


def write_final_numbers(table1: Path, stem: Path) -> None:
    """`final_numbers` of `table1.csv`."""
    save(final_numbers(pd.read_csv(table1)), stem)


def write_class_mix(partition_file: Path, prepared: Path, stem: Path) -> None:
    """`class_mix` of a partition of a prepared data set."""
    train, test = (samples.read_labels(prepared, split).labels for split in samples.SPLITS)
    classes = samples.read_card(prepared)["classes"]
    held = partition.read(partition_file)
    partition.check_fits(partition_file, held, clients=len(held), n_train=len(train), n_test=len(test))
    save(class_mix(held, train, test, classes), stem)


def write_sharing(plan_files: Sequence[Path], stem: Path) -> None:
    """`sharing` of the plans of one family and protocol."""
    save(sharing([plan.read(path) for path in plan_files]), stem)
