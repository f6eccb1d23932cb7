"""Provenance: the data, and for every number the run that it comes from."""

import pandas as pd

from flexifed.collect import CELL
from flexifed.report.parts import Grid, Section, Sources
from flexifed.titles import title


def section(sources: Sources) -> Section:
    """A grid of data sets, and one of runs, folded."""
    return Section("Provenance", [data(sources.runs), runs(sources.runs)])


def data(table: pd.DataFrame) -> Grid:
    """The data sets of the runs, and how they were verified."""
    columns = ["data set", "classes", "training samples", "test samples", "verified", "how", "options", "notes"]
    fields = ["dataset", "classes", "n_train", "n_test", "verified", "source_how", "data_options", "data_notes"]
    rows = [
        [title(d), str(c), f"{train:,}", f"{test:,}", "yes" if verified else "no", how, options, remarks]
        for d, c, train, test, verified, how, options, remarks in table[fields]
        .drop_duplicates()
        .itertuples(index=False)
    ]
    return Grid("Data", columns, rows, words=len(columns))


def runs(table: pd.DataFrame) -> Grid:
    """The run records."""
    columns = ["cell", "commit", "code", "device", "torch", "engine", "options", "rounds", "seconds", "started"]
    columns += ["MB up / down per round"]
    rows = [
        [
            "/".join(str(run[key]) for key in CELL),
            "not recorded" if pd.isna(run["commit"]) else f"{run['commit'][:12]}{' + changes' if run['dirty'] else ''}",
            run["code"][:12],
            run["device"],
            str(run["torch"]),
            f"{run['engine']}, {run['precision']}",
            run["family_options"],
            str(run["rounds"]),
            f"{run['seconds']:,.0f}",
            run["started"],
            f"{run['bytes_up_per_round'] / 1e6:,.2f} / {run['bytes_down_per_round'] / 1e6:,.2f}",
        ]
        for _, run in table.iterrows()
    ]
    dirty = int(table["dirty"].eq(True).sum())
    note = f"{table['commit'].nunique()} commit(s), {dirty} run(s) with uncommitted changes"
    summary = f"{len(rows)} runs: commit, device, seconds, bytes"
    return Grid("Runs", columns, rows, [note], words=len(columns), summary=summary)
