"""The errors against published numbers in words: claims first, then grids."""

from collections.abc import Iterator

import pandas as pd

from flexifed.analysis.deviation import ALL, LINE, rivals
from flexifed.analysis.effects_text import points
from flexifed.analysis.finals import MEAN
from flexifed.analysis.published import PAPER
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title
from flexifed.sharing.titles import version_title

OUTSIDE = " *"
"""After an error whose published number lies outside our interval; read without colour."""

LEGEND = (
    "Errors are ours minus the published number, in percentage points, ± half-width of the 95 % Student t interval "
    "over our seeds; * marks a published number outside that interval. One seed has no interval. A published number is "
    "one run whose spread nobody knows, so being outside is no proof of another protocol. Numbers in all have no "
    "interval: the numbers of a block share seeds and data. Order is Kendall's tau-b between our strategies' means and "
    "theirs, averaged over blocks: +1 is the same order, -1 the opposite."
)


def name(protocols: str, preset: str) -> str:
    """A setting's name: its protocol's, or its preset's where several protocols make it."""
    return preset if ";" in protocols else protocols


def source_title(source: str) -> str:
    """`the paper`, or the repository of a reproduction."""
    return "the paper" if source == PAPER else source


# Claims


def claims(errors: pd.DataFrame, totals: pd.DataFrame) -> list[str]:
    """What the errors of the settings say that are meant to reproduce a source, of the paper first.

    Args:
        errors: as `deviation.by_cell` gives it.
        totals: as `deviation.in_all` gives it.
    """
    told = totals[(totals["dataset"] == ALL) & totals["own_source"] & (totals["n_compared"] > 0)]
    told = told.sort_values("mean_absolute_error", kind="stable")
    found = []
    for source in errors["source"].unique():
        found += [_in_all(line) for _, line in told[told["source"] == source].iterrows()]
        found += _closest(rivals(errors, str(source)), str(source), totals)
    return found + _not_comparable(errors)


def _in_all(line: pd.Series) -> str:
    text = (
        f"{name(line['protocols'], line['preset'])} is {line['mean_absolute_error']:.1f} points from "
        f"{source_title(line['source'])} on average, over {line['n_compared']} of {line['n_cells']} numbers "
        f"(mean error {points(line['mean_error'])}, root mean square {line['root_mean_square_error']:.1f})"
    )
    if line["n_intervals"]:
        text += f"; {line['n_inside']} of {line['n_intervals']} published numbers are inside our interval"
    if line["n_orders"]:
        text += f"; order of the strategies {line['kendall_tau']:+z.2f} over {_count(line['n_orders'], 'block')}"
    return f"{text}."


def _closest(absolute: pd.DataFrame, source: str, totals: pd.DataFrame) -> list[str]:
    """Which of the settings that are meant to reproduce a source comes closest, over the numbers that they share."""
    names = dict(zip(totals["protocols"], map(name, totals["protocols"], totals["preset"]), strict=True))
    shared = absolute.dropna()
    if len(absolute.columns) < 2 or shared.empty:
        return []
    means = shared.mean().sort_values(kind="stable")
    order = ", ".join(f"{names[setting]} {mean:.1f}" for setting, mean in means.items())
    text = f"Closest to {source_title(source)} over the {len(shared)} numbers that all of them have: {order} points."
    winners = [_winner(block) for _, block in absolute.groupby(["dataset", "family"], sort=False)]
    counted = pd.Series([names[winner] for winner in winners if winner]).value_counts()
    return [f"{text} By block: {', '.join(f'{setting} in {n}' for setting, n in counted.items())}."]


def _winner(block: pd.DataFrame) -> str:
    """The setting with the lowest mean absolute error of a block; none where only one has been compared."""
    shared = block.dropna(axis=1, how="all").dropna()
    return str(shared.mean().idxmin()) if len(shared.columns) > 1 and len(shared) else ""


def _not_comparable(errors: pd.DataFrame) -> list[str]:
    """A sentence for each source with lines that must not be set beside it, or one for all where none may be."""
    lines = errors.drop_duplicates([*LINE, "source"])
    if lines.empty:
        return ["Nobody has published numbers for any line of this study."]
    if lines["against"].ne("").all():
        count = _count(len(lines.drop_duplicates(LINE)), "line")
        reasons = _reasons(lines[lines["source"] == PAPER])  # whose Table 1 has every line that others have
        return [f"No number of this study may be set beside a published one ({count}): {reasons}."]
    found = []
    for source, group in lines.groupby("source", sort=False):
        apart = group[group["against"] != ""]
        beside = f"Not set beside {source_title(str(source))}: {len(apart)} of {_count(len(group), 'line')}"
        found += [f"{beside}: {_reasons(apart)}."] if len(apart) else []
    return found


def _reasons(lines: pd.DataFrame) -> str:
    """Each reason with the number of lines it is about, the most frequent first."""
    each = lines.assign(reason=lines["against"].str.split("; ")).explode("reason")
    counts = each.drop_duplicates([*LINE, "reason"])["reason"].value_counts()
    return ", ".join(f"{reason} ({n})" for reason, n in counts.items())


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


# Grids

IN_ALL = ["protocol", "source", "own", "compared", "mean error", "mean absolute", "root mean square", "inside", "order"]
"""Column titles of `in_all`."""


def in_all(totals: pd.DataFrame) -> list[list[str]]:
    """A row for each setting and source that have something in common."""
    there = totals[(totals["dataset"] == ALL) & (totals["n_compared"] > 0)]
    return [
        [
            name(line["protocols"], line["preset"]),
            line["source"],
            "yes" if line["own_source"] else "",
            f"{line['n_compared']} of {line['n_cells']}",
            points(line["mean_error"]),
            f"{line['mean_absolute_error']:.1f}",
            f"{line['root_mean_square_error']:.1f}",
            f"{line['n_inside']} of {line['n_intervals']}" if line["n_intervals"] else "–",
            f"{line['kendall_tau']:+z.2f}" if line["n_orders"] else "–",
        ]
        for _, line in there.iterrows()
    ]


def blocks(errors: pd.DataFrame) -> Iterator[tuple[str, list[str], list[list[str]], list[str]]]:
    """Title, columns, rows and notes of each data set, family and protocol with an error."""
    for (dataset, family, protocol), block in errors.groupby(["dataset", "family", "protocol"], sort=False):
        there = block[block.groupby("source")["error"].transform("count") > 0]
        if there.empty:
            continue
        versions = list(there["version"].unique())
        rows = []
        for (source, strategy), lines in there.groupby(["source", "strategy"], sort=False):
            of = {line["version"]: number(line) for _, line in lines.iterrows()}
            rows.append([str(source), title(str(strategy)), *(of.get(version, "–") for version in versions)])
        ranked = sorted(rows, key=lambda row: list(there["source"].unique()).index(row[0]))
        columns = ["source", "strategy", *(version_title(str(family), version) for version in versions)]
        yield block_title(str(dataset), str(family), str(protocol)), columns, ranked, list(_notes(there))


def _notes(block: pd.DataFrame) -> Iterator[str]:
    """What stands against comparisons, and what else to know, each once with the sources it is about."""
    lines = block[block["version"] == MEAN]
    for column in ("against", "note"):
        each = lines.assign(text=lines[column].str.split("; ")).explode("text")
        for text, about in each[each["text"] != ""].groupby("text", sort=False):
            sources = about["source"].unique()
            strategies = about["strategy"].unique()
            theirs = set(lines.loc[lines["source"].isin(sources) & (lines["n_seeds"] > 0), "strategy"])
            who = [] if len(sources) == lines["source"].nunique() else [", ".join(map(source_title, sources))]
            who += [] if set(strategies) == theirs else [", ".join(map(title, strategies))]
            yield ": ".join([*who, str(text)])


def number(line: pd.Series) -> str:
    """`+2.1 ± 0.4`, `+2.1 ± 0.4 *` where the published number is outside, `+2.1` of one seed, `missing` or a dash."""
    if pd.isna(line["error"]):
        return "missing" if line["n_seeds"] == 0 else "–"
    if line["n_seeds"] == 1:
        return points(line["error"])
    outside = OUTSIDE if line["published_is"] in ("above", "below") else ""
    return f"{points(line['error'])} ± {line['ci95_high'] - line['mean']:.1f}{outside}"
