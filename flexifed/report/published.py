"""Ours beside what the paper and the reproductions report."""

from collections.abc import Iterator

import pandas as pd

from flexifed.report.parts import Grid, Section, Sources, points
from flexifed.tables import MEAN
from flexifed.titles import title
from flexifed.typeset import block_title, blocks, notes, number


def section(sources: Sources) -> Section:
    """A grid per block that has a comparable line."""
    about = (
        "Mean over versions in percent. The sources differ in data, rounds and the moment of the test, so only the "
        "order within a column compares across columns."
    )
    return Section("Beside the published numbers", [*grids(sources.table1, sources.table("published"))], about)


def grids(first: pd.DataFrame, published: pd.DataFrame) -> Iterator[Grid]:
    """The blocks of Table 1 that may be set beside the paper's."""
    line_columns = ["dataset", "family", "strategy", "source"]
    means = dict(zip(published[line_columns].itertuples(index=False, name=None), published["mean"], strict=True))
    sources = list(published["source"].unique())
    for (dataset, family, protocol), block in blocks(first[first["version"] == MEAN]):
        if block["paper"].isna().all():
            continue
        rows = [
            [title(line["strategy"]), "not comparable" if line["n_seeds"] and pd.isna(line["paper"]) else number(line)]
            + [points(means.get((dataset, family, line["strategy"], source), float("nan"))) for source in sources]
            for _, line in block.iterrows()
        ]
        yield Grid(block_title(dataset, family, protocol), ["strategy", "this study", *sources], rows, notes(block))
