"""One figure of the whole benchmark, from its files alone, in the style of `flexifed.figures.style`."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator, ScalarFormatter

from flexifed.analysis.titles import title
from flexifed.figures.style import save, styled
from flexifed.system import files

PLAIN_COLOUR = "#595959"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")
"""Okabe and Ito's colour-blind safe set; the baseline is dark grey."""
NAMES = ("rounds", "aggregation", "clustering", "cells", "scaling", "dryrun")


def write(folder: Path) -> None:
    """Draw `{folder}/bench.png` and `bench.svg` from the CSV files and machine.json there."""
    tables = {n: pd.read_csv(folder / f"{n}.csv") for n in NAMES if (folder / f"{n}.csv").exists()}
    save(
        draw({n: t for n, t in tables.items() if len(t)}, files.read_json(folder / "machine.json")["device"]),
        folder / "bench",
    )


@styled
def draw(tables: Mapping[str, pd.DataFrame], machine: str) -> Figure:
    """A panel for each part that was measured: rounds over the whole width, the others below.

    Args:
        tables: by name of the CSV file, none of them empty; `rounds` is needed.
        machine: its name, for the title.
    """
    below: list[Callable[[Axes], None]] = []
    if "aggregation" in tables:
        below.append(partial(_aggregation, table=tables["aggregation"]))
    if "clustering" in tables:
        below.append(partial(_clustering, table=tables["clustering"]))
    if "cells" in tables:
        below.append(partial(_cells, table=tables["cells"]))
    if "scaling" in tables:
        for varied, curve in tables["scaling"].groupby("varied", sort=False):
            below.append(partial(_scaling, varied=str(varied), curve=curve))
    if "dryrun" in tables:
        below.append(partial(_dryrun, table=tables["dryrun"]))
    rows, rounds = -(-len(below) // 3), tables["rounds"]
    heights = [0.8 + 0.17 * len(rounds), *[2.5] * rows]
    figure = Figure(figsize=(9.2, 0.4 + sum(heights)))
    grid = figure.add_gridspec(1 + rows, 3, height_ratios=heights)
    _rounds(figure.add_subplot(grid[0, :]), rounds)
    for place, fill in enumerate(below):
        fill(figure.add_subplot(grid[1 + place // 3, place % 3]))
    figure.suptitle(machine, fontsize=10, x=0.01, horizontalalignment="left")
    return figure


def _colours(names: pd.Series) -> dict[str, str]:
    """A colour for each candidate in order of appearance; the baseline is grey wherever it stands."""
    others = [str(name) for name in names.unique() if name not in ("plain", "pairwise")]
    return {"plain": PLAIN_COLOUR, "pairwise": PLAIN_COLOUR} | {
        name: COLOURS[i % len(COLOURS)] for i, name in enumerate(others)
    }


def _rounds(panel: Axes, table: pd.DataFrame) -> None:
    """Ratio to the plain loop with its range, families from top to bottom."""
    names = table["candidate"].where(table["precision"] == "float32", table["candidate"] + ", " + table["precision"])
    palette, ticks, y = _colours(names), {}, 0.0
    for family, rows in table.assign(name=names).groupby("family", sort=False):
        for _, row in rows.iterrows():
            colour = palette[row["name"]]
            panel.hlines(y, row["ratio_low"], row["ratio_high"], color=colour, linewidth=2)
            panel.plot(row["ratio"], y, marker="o", markersize=4.5, color=colour, linestyle="none")
            text = f"{row['seconds']:.3g} s, {100 * row['fraction']:.0f} % of matrix products"
            panel.annotate(text, (row["ratio_high"], y), (6, 0), textcoords="offset points", va="center", fontsize=7)
            ticks[y] = f"{title(str(family))}: {row['name']}"
            y += 1
        y += 0.6
    panel.set_yticks(list(ticks), list(ticks.values()), fontsize=8)
    panel.set_ylim(y - 1, -0.6)
    panel.set_xlim(0, 1.25 * table["ratio_high"].max())
    panel.axvline(1, color=PLAIN_COLOUR, linewidth=0.8)
    panel.grid(True, axis="x")
    panel.set_title("samples a second in a training round, plain loop = 1 (median and range)")


def _aggregation(panel: Axes, table: pd.DataFrame) -> None:
    palette = _colours(table["candidate"])
    for candidate, rows in table.groupby("candidate", sort=False):
        panel.plot(rows["clients"], rows["seconds"], marker="o", color=palette[str(candidate)], label=str(candidate))
    widths = table.drop_duplicates("clients")
    _logarithmic(panel, [int(n) for n in widths["clients"]])
    panel.set_xlabel("clients (width " + ", ".join(f"{w:g}" for w in widths["width"]) + ")")
    panel.set_ylabel("seconds")
    panel.legend(fontsize=7)
    panel.set_title("one aggregation")


def _clustering(panel: Axes, table: pd.DataFrame) -> None:
    """Comparisons, which no other load of the machine changes."""
    palette = _colours(table["candidate"])
    for candidate, rows in table.groupby("candidate", sort=False):
        colour = palette[str(candidate)]
        panel.plot(rows["clients"], rows["comparisons"], marker="o", color=colour, label=str(candidate))
    _logarithmic(panel, [int(n) for n in table["clients"].unique()])
    panel.set_xlabel("clients")
    panel.set_ylabel("comparisons")
    panel.yaxis.set_major_formatter(LogFormatterSciNotation())
    panel.legend(fontsize=7)
    panel.set_title("who shares which layer")


def _cells(panel: Axes, table: pd.DataFrame) -> None:
    """Samples a second of cells side by side, one cell on all cores = 1."""
    shown = table[table["cells"] > 1]
    panel.bar(range(len(shown)), shown["ratio"], width=0.6, color=COLOURS[0])
    errors = [shown["ratio"] - shown["ratio_low"], shown["ratio_high"] - shown["ratio"]]
    panel.errorbar(range(len(shown)), shown["ratio"], errors, fmt="none", ecolor="black", linewidth=1)
    panel.axhline(1, color=PLAIN_COLOUR, linewidth=0.8)
    panel.set_xticks(range(len(shown)), [title(family) for family in shown["family"]], fontsize=8)
    panel.set_ylabel("samples a second, one cell = 1")
    panel.set_title(f"{shown['cells'].max()} cells of one thread")


def _scaling(panel: Axes, varied: str, curve: pd.DataFrame) -> None:
    labels = {"clients": "clients", "samples": "samples of a client", "depth": "weight layers"}
    curve = curve.sort_values("value")
    panel.fill_between(curve["value"], curve["seconds_low"], curve["seconds_high"], color=COLOURS[0], alpha=0.18)
    panel.plot(curve["value"], curve["seconds"], marker="o", color=COLOURS[0])
    panel.set_ylim(0, 1.1 * curve["seconds_high"].max())
    panel.set_xlim(0, 1.08 * curve["value"].max())
    panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panel.grid(True)
    first = curve.iloc[0]
    panel.set_xlabel(labels[varied])
    panel.set_ylabel("seconds a round")
    panel.set_title(f"{title(first['family'])}, {first['candidate']}, {first['precision']}")


def _dryrun(panel: Axes, table: pd.DataFrame) -> None:
    panel.plot(table["cells"], table["seconds"], marker="o", color=COLOURS[0])
    for _, row in table.iterrows():
        text = f"{row['seconds']:.1f} s"
        panel.annotate(
            text, (row["cells"], row["seconds"]), (0, 6), textcoords="offset points", ha="center", fontsize=8
        )
    panel.set_ylim(0, 1.3 * table["seconds"].max())
    panel.set_xlim(0, 1.2 * table["cells"].max())
    panel.grid(True)
    panel.set_xlabel("cells of the study")
    panel.set_ylabel("seconds")
    panel.set_title("snakemake -n")


def _logarithmic(panel: Axes, ticks: list[int]) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.yaxis.set_major_formatter(ScalarFormatter())
    panel.grid(True)
