"""Averaging the classifier or not, as the paper's Table 3."""

from collections.abc import Iterator

import pandas as pd

from flexifed.analysis.statistics import Verdict
from flexifed.analysis.typeset import block_title, by_family, number
from flexifed.report.parts import Grid, Section, Sources, points

AVERAGED = {"all": "across versions", "none": "never", "same_architecture": "within a version"}

OUTCOMES = {
    Verdict.HOLDS: "as in the paper: sharing across versions costs accuracy",
    Verdict.CONTRADICTED: "against the paper: sharing across versions gains accuracy",
    Verdict.NOT_RESOLVED: "not resolved: the interval holds zero or has no width",
    Verdict.ONE_SEED: "not resolved: one seed cannot be distinguished from chance",
    Verdict.MISSING: "missing",
}
"""What each verdict of `statistics.verdict` says of the paper's claim."""


def section(sources: Sources) -> Section:
    """What is gained by not averaging across versions, a grid per data set and family; then one grid for all blocks."""
    table = sources.table("table3")
    heading = "Averaging the classifier (Max-Common, mean over versions)"
    if table.empty:
        return Section(heading, [])
    about = (
        "Differences are in percentage points, paired by seed, with their 95 % Student t interval over seeds; the "
        "paper's stand beside them only where setting and data allow the comparison."
    )
    parts = [*differences(sources.table("table3_differences")), grid(table)]
    return Section(heading, parts, " ".join(filter(None, [about if len(parts) > 1 else "", sources.rules()])))


def differences(table: pd.DataFrame) -> Iterator[Grid]:
    """`table3_differences.csv` as text."""
    columns = ["averaged", "seeds", "less across versions", "95 % interval", "paper", "verdict"]
    for heading, block in by_family(table):
        rows = [
            [
                f"{AVERAGED[line['classifier']]} (protocol {line['protocol']} less {line['across']})",
                str(line["n_seeds"]),
                points(line["difference"], signed=True) if line["n_seeds"] else "missing",
                f"{line['ci95_low']:+z.1f} to {line['ci95_high']:+z.1f}" if line["n_seeds"] > 1 else "–",
                points(line["paper"], signed=True),
                OUTCOMES[line["verdict"]],
            ]
            for _, line in block.iterrows()
        ]
        yield Grid(heading, columns, rows)


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
