"""Final numbers along the quantity that a study varies: whether more of it is better, then figure and numbers."""

from collections.abc import Iterator

import pandas as pd

from flexifed.analysis import sweep
from flexifed.analysis.finals import MEAN
from flexifed.analysis.statistics import Verdict
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import by_family, notes, number
from flexifed.report import pictures
from flexifed.report.parts import Grid, Part, Points, Remark, Section, Sources

OPENINGS = {
    Verdict.HOLDS: "More is better, with the 95 % interval of the difference above zero",
    Verdict.CONTRADICTED: "Fewer is better, with the interval below zero",
    Verdict.NOT_RESOLVED: "Not resolved, the interval holds zero or has no width",
    Verdict.ONE_SEED: "Not resolved, one seed cannot be distinguished from chance",
    Verdict.MISSING: "Missing",
}
"""How each verdict of `statistics.verdict` is introduced."""

LEGEND = (
    "Final number at the highest value less that at the lowest at which the study has the strategy, in percentage "
    "points, paired by seed. The intervals are not adjusted for their number."
)


def section(sources: Sources) -> Section:
    """Claims first, then the figure, then the numbers."""
    heading = pictures.HEADINGS["sweep"]
    if not sources.has_sweep:
        return Section(heading, [])
    levels, gains = (sources.table(name) for name in ("sweep", "sweep_gains"))
    parts: list[Part] = [Points(claims(block), name) for name, block in by_family(gains)]
    parts += [Remark(" ".join([LEGEND, *sweep.remarks(levels)]))]
    parts += pictures.of_kind(sources, "sweep")
    return Section(
        heading, [*parts, *grids(levels, sources.table1)], f"Over the {levels['over'].iloc[0]}. {sources.rules()}"
    )


def claims(block: pd.DataFrame) -> list[str]:
    """What the ends of the sweep say of each strategy; nothing is claimed where the seeds do not resolve it.

    Args:
        block: lines of `sweep.gains` of one data set and family.
    """
    found = []
    for outcome, opening in OPENINGS.items():
        told = [_gain(line) for _, line in block[block["verdict"] == outcome].iterrows()]
        found += [f"{opening}: {'; '.join(told)}."] if told else []
    return found


def _gain(line: pd.Series) -> str:
    """`Max-Common, 24 to 40: +2.5 (1.1 to 3.9)`."""
    of = "" if line["of"] == MEAN else f" (of {line['of']} alone)"
    text = f"{title(line['strategy'])}, {line['lowest']:g} to {line['highest']:g}{of}"
    if line["n_seeds"] == 0:
        return text
    interval = f" ({line['ci95_low']:z.1f} to {line['ci95_high']:z.1f})" if line["n_seeds"] > 1 else ""
    return f"{text}: {line['difference']:+z.1f}{interval}"


def grids(levels: pd.DataFrame, first: pd.DataFrame) -> Iterator[Grid]:
    """A row per strategy, a column per value, with Table 1's notes on the lines."""
    for heading, block in by_family(levels):
        values = sorted(block["level"].unique())
        rows = []
        for strategy, lines in block.groupby("strategy", sort=False):
            of = {line["level"]: number(line) for _, line in lines.iterrows()}
            rows.append([title(str(strategy)), *(of.get(value, "–") for value in values)])
        yield Grid(heading, ["strategy", *(f"{value:g}" for value in values)], rows, _caveats(block, first))


def _caveats(block: pd.DataFrame, first: pd.DataFrame) -> list[str]:
    """Table 1's notes on the lines of a data set and family, with the values they are about if not all."""
    same = (first[["dataset", "family"]] == list(block[["dataset", "family"]].iloc[0])).all(axis=1)
    about: dict[str, list[str]] = {}
    levels = block.drop_duplicates("protocol").sort_values("level")
    for protocol, level in zip(levels["protocol"], levels["level"], strict=True):
        for note in notes(first[same & (first["protocol"] == protocol)]):
            about.setdefault(note, []).append(f"{level:g}")
    return [note if len(of) == len(levels) else f"At {', '.join(of)}: {note}" for note, of in about.items()]
