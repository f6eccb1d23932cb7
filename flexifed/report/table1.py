"""Table 1, a grid per block, and from each line the way to its runs."""

import pandas as pd

from flexifed.analysis import metrics
from flexifed.analysis.collect import CELL
from flexifed.analysis.typeset import BESIDE, block_rows, block_title, blocks, header, notes, seeds_text
from flexifed.report.parts import Entry, Grid, Link, Links, Section, Sources, anchor
from flexifed.settings.cell import Cell


def section(sources: Sources) -> Section:
    """Every block of the study."""
    about = (
        f"{metrics.capital(sources.metric)} in percent. Mean over seeds ± half-width of the 95 % Student t interval "
        "over seeds; a single seed has no interval. The paper's numbers, and ours less the paper's (delta), stand "
        "below ours only where setting and data allow the comparison. The last column leads to the records of the runs "
        "that a line is made from."
    )
    grids = [grid(key, block, sources.runs, sources.rules(key[2])) for key, block in blocks(sources.table1)]
    return Section("Table 1", grids, about)


def grid(key: tuple[str, str, str], block: pd.DataFrame, runs: pd.DataFrame, rule: str = "") -> Grid:
    """A block of Table 1.

    Args:
        key: dataset, family and protocol.
        block: the block's rows of Table 1.
        runs: `runs.parquet`.
        rule: what the final number is, in a sentence.
    """
    links = iter([_runs(runs, key, strategy) for strategy in block["strategy"].unique()])
    rows: list[list[Entry]] = [[*row, "" if row[0] in BESIDE else next(links)] for row in block_rows(block)]
    heading = f"{block_title(*key)} ({seeds_text(block)})"
    said = [*filter(None, [rule.removesuffix(".")]), *notes(block)]  # the page ends each note with a full stop
    return Grid(heading, [*header(key[1], block), "runs by seed"], rows, said, beside=BESIDE)


def _runs(runs: pd.DataFrame, key: tuple[str, str, str], strategy: str) -> Entry:
    """Links to the runs of a line, by seed."""
    dataset, family, protocol = key
    same = (runs[["dataset", "family", "strategy", "protocol"]] == [dataset, family, strategy, protocol]).all(axis=1)
    cells = sorted(Cell(*values) for values in runs.loc[same, CELL].itertuples(index=False))
    return Links([Link(str(cell.seed), anchor(cell)) for cell in cells]) if cells else "–"
