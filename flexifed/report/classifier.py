"""Averaging the classifier or not, as the paper's Table 3."""

import pandas as pd

from flexifed.report.parts import Grid, Section, Sources, points
from flexifed.typeset import block_title, number

AVERAGED = {"all": "across versions", "none": "never", "same_architecture": "within a version"}


def section(sources: Sources) -> Section:
    """One grid for all blocks with Max-Common."""
    table = sources.table("table3")
    heading = "Averaging the classifier (Max-Common, mean over versions)"
    return Section(heading, [] if table.empty else [grid(table)])


def grid(table: pd.DataFrame) -> Grid:
    """`table3.csv` as text."""
    columns = ["block", "classifier averaged", "ours", "paper's Table 3", "note"]
    rows = [
        [
            block_title(line["dataset"], line["family"], line["protocol"]),
            AVERAGED[line["classifier"]],
            number(line),
            points(line["paper"]),
            line["note"],
        ]
        for _, line in table.iterrows()
    ]
    return Grid("", columns, rows, words=2)
