"""Provenance: the data, and for every number the run that it comes from."""

from pathlib import Path

import pandas as pd

from flexifed.analysis.collect import CELL
from flexifed.analysis.titles import title
from flexifed.report.costs import amount
from flexifed.report.parts import Entry, Grid, Link, Links, Section, Sources, anchor
from flexifed.settings import layout
from flexifed.settings.cell import Cell

DATA = ["dataset", "classes", "n_train", "n_test", "verified", "source_how", "data_options", "data_notes"]
"""What tells one data set from another."""


def section(sources: Sources) -> Section:
    """A grid of data sets, and one of runs, folded."""
    about = (
        "Every number of this page is computed from the curves of the runs below, history.parquet; beside it stands "
        "the run's record, run.json, at the path in the last column, as seen from this page."
    )
    return Section("Provenance", [data(sources.runs), runs(sources.runs, sources.records)], about)


def data(table: pd.DataFrame) -> Grid:
    """The data sets of the runs, and how they were verified."""
    columns = ["data set", "classes", "training samples", "test samples", "verified", "how", "options", "notes"]
    rows = [
        [title(d), str(c), f"{train:,}", f"{test:,}", "yes" if verified else "no", how, options, remarks]
        for d, c, train, test, verified, how, options, remarks in table[DATA].drop_duplicates().itertuples(index=False)
    ]
    anchors = [_data_anchor(number) for number in range(len(rows))]
    return Grid("Data", columns, rows, words=len(columns), anchors=anchors)


def _data_anchor(number: int) -> str:
    return f"data-{number + 1}"


def runs(table: pd.DataFrame, records: Path) -> Grid:
    """The run records.

    Args:
        table: `runs.parquet`.
        records: the folder that holds `cells/`, as seen from the page.
    """
    columns = ["cell", "commit", "code", "settings", "data", "device", "torch", "engine", "options", "rounds"]
    columns += ["seconds", "started", "MB up / down per client and round", "record"]
    cells = [Cell(*values) for values in table[CELL].itertuples(index=False)]
    of_data = table.groupby(DATA, sort=False, dropna=False).ngroup()
    rows: list[list[Entry]] = [
        [
            str(cell),
            "not recorded" if pd.isna(run["commit"]) else f"{run['commit'][:12]}{' + changes' if run['dirty'] else ''}",
            run["code"][:12],
            run["settings_digest"][:12],
            Links([Link(title(cell.dataset), _data_anchor(number))]),
            run["device"],
            str(run["torch"]),
            f"{run['engine']}, {run['precision']}",
            run["family_options"],
            str(run["rounds"]),
            f"{run['seconds']:,.0f}",
            run["started"],
            " / ".join(amount(run[f"bytes_{way}_per_round"] / run["clients"] / 1e6) for way in ("up", "down")),
            (records / layout.CELL.format(**vars(cell)) / "run.json").as_posix(),
        ]
        for cell, number, (_, run) in zip(cells, of_data, table.iterrows(), strict=True)
    ]
    dirty = int(table["dirty"].eq(True).sum())
    note = (
        f"{table['commit'].nunique()} commit(s), {dirty} run(s) with uncommitted changes; code and settings are the "
        "starts of digests: of the code that the run depends on, and of its settings (see Settings); MB are means over "
        "clients, as under Costs"
    )
    summary = f"{len(rows)} runs: commit, code, settings, data, device, seconds, record"
    anchors = [anchor(cell) for cell in cells]
    return Grid("Runs", columns, rows, [note], words=len(columns), summary=summary, anchors=anchors)
