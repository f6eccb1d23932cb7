"""Ours beside what the paper and the reproductions report, and the error against it."""

from collections.abc import Iterator

import pandas as pd

from flexifed.analysis import deviation, deviation_text
from flexifed.analysis.finals import MEAN
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks, notes, number
from flexifed.report import pictures
from flexifed.report.parts import Grid, Part, Points, Remark, Section, Sources, points

CAUTION = Remark(
    "The numbers themselves are means over versions in percent. The sources differ in data, rounds and the moment of "
    "the test, so only the order within a column compares across all columns."
)


def section(sources: Sources) -> Section:
    """Claims first, then the errors in all, their figure, a grid per block, and the numbers themselves."""
    errors, totals = (deviation.read(sources.tables_folder / f"{name}.csv") for name in ("errors", "errors_in_all"))
    parts: list[Part] = [Points(deviation_text.claims(errors, totals))]
    if errors["error"].notna().any():
        parts += [Remark(deviation_text.LEGEND), in_all(totals)]
        parts += pictures.of_kind(sources, "errors")
        parts += by_cell(errors)
    beside = list(grids(sources.table1, sources.table("published")))
    return Section(pictures.HEADINGS["errors"], [*parts, *([CAUTION] if beside else []), *beside], sources.rules())


def in_all(totals: pd.DataFrame) -> Grid:
    """The errors of each protocol against each source."""
    return Grid("Errors in all", deviation_text.IN_ALL, deviation_text.in_all(totals), words=3)


def by_cell(errors: pd.DataFrame) -> Iterator[Grid]:
    """The errors of each block's cells, folded."""
    for heading, columns, rows, remarks in deviation_text.blocks(errors):
        yield Grid("", columns, rows, remarks, words=2, summary=f"Errors: {heading}")


def grids(first: pd.DataFrame, published: pd.DataFrame) -> Iterator[Grid]:
    """The blocks of Table 1 that may be set beside the paper's."""
    line_columns = ["dataset", "family", "protocol", "strategy", "source"]
    means = dict(zip(published[line_columns].itertuples(index=False, name=None), published["mean"], strict=True))
    sources = list(published["source"].unique())
    for (dataset, family, protocol), block in blocks(first[first["version"] == MEAN]):
        if block["paper"].isna().all():
            continue
        rows = [
            [title(line["strategy"]), "not comparable" if line["n_seeds"] and pd.isna(line["paper"]) else number(line)]
            + [
                points(means.get((dataset, family, protocol, line["strategy"], source), float("nan")))
                for source in sources
            ]
            for _, line in block.iterrows()
        ]
        yield Grid(block_title(dataset, family, protocol), ["strategy", "this study", *sources], rows, notes(block))
