"""Tables of a study, in percent: Table 1, moments of the test, published orderings; and all of them as files.

Seeds are the repetitions: mean, standard deviation and Student's t interval are over them.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from flexifed.analysis import finals, published, table3, typeset
from flexifed.analysis.collect import read_runs
from flexifed.analysis.comparable import line_runs, obstacles_to_table1, remarks
from flexifed.analysis.finals import MEAN, final_numbers, of_seeds, rows, seeds_by_line
from flexifed.analysis.statistics import summarise, verdict
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

WORDS = frozenset(
    [
        "dataset",
        "family",
        "strategy",
        "protocol",
        "version",
        "classifier",
        "across",
        "higher",
        "lower",
        "verdict",
        "claim",
        "beside_paper",
        "of",
        "over",
        "versions",
        "source",
        "preset",
        "protocols",
        "published_is",
        "against",
        "factor",
        "base",
        "combines",
        "quantity",
        "outcome",
        "variance_outcome",
        "worst_tenth_outcome",
        "device",
        "note",
    ]
)
"""Columns of tables that are text, whatever they hold: a protocol may be called `24`."""


def table1(
    numbers: pd.DataFrame, runs: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> pd.DataFrame:
    """One row for each expected line and version (and their mean), whether its cells are there or not.

    `paper` and `delta` (ours minus the paper's) are filled only where nothing in `comparable` stands against it; `note`
    says what does, and what else differs. A line without a single cell has `n_seeds` 0, no number, and the note
    "missing".
    """
    by_line = seeds_by_line(numbers)
    table = []
    for row in rows(expected):
        protocol = protocols[row.protocol]
        line = line_runs(runs, row)
        against = obstacles_to_table1(line, protocol)
        paper = {} if against else published.paper(protocol.versions)
        note = "; ".join(against + (remarks(line, row, protocol) if len(line) else []))
        for version in (*protocol.versions, MEAN):
            summary = summarise(of_seeds(by_line, row, version))
            theirs = paper.get((*row[:3], version), math.nan)
            table.append(
                {**row._asdict(), "version": version, **vars(summary)}
                | {"paper": theirs, "delta": summary.mean - theirs, "note": note}
            )
    return pd.DataFrame(table).drop(columns="seeds")


def phases(cells: Path, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """What the moment and mode of the test do to the mean over versions, all by the protocol's own rule.

    `aggregated` and `local` are tested in `eval()`, `train_mode` after aggregation in training mode, as in the authors'
    script. `difference` is aggregated minus local, its interval over the seeds' differences.
    """
    measured = {
        "aggregated": seeds_by_line(final_numbers(cells, protocols, phase="aggregated", mode="eval")),
        "local": seeds_by_line(final_numbers(cells, protocols, phase="local", mode="eval")),
        "train_mode": seeds_by_line(final_numbers(cells, protocols, phase="aggregated", mode="train")),
    }
    table = []
    for row in rows(expected):
        values = {name: of_seeds(by_line, row, MEAN) for name, by_line in measured.items()}
        gain = summarise(values["aggregated"] - values["local"])
        table.append(
            {**row._asdict(), "n_seeds": gain.n_seeds}
            | {name: summarise(value).mean for name, value in values.items()}
            | {"difference": gain.mean, "difference_ci95_low": gain.ci95_low, "difference_ci95_high": gain.ci95_high}
        )
    return pd.DataFrame(table).drop(columns="seeds")


def comparisons(numbers: pd.DataFrame, expected: Sequence[Cell]) -> pd.DataFrame:
    """The published orderings in each block, from differences within a seed of the mean over versions.

    Cells of one seed share partition and initial weights, so the paired difference is sharper than two intervals side
    by side. One seed resolves nothing. The intervals are not adjusted for the number of comparisons.
    """
    by_line = seeds_by_line(numbers)
    lines = {row[:4]: row for row in rows(expected)}
    table = []
    for dataset, family, protocol in dict.fromkeys((row.dataset, row.family, row.protocol) for row in lines.values()):
        for higher, lower in published.orderings():
            above = lines.get((dataset, family, higher, protocol))
            below = lines.get((dataset, family, lower, protocol))
            if above is None or below is None:
                continue
            gain = (of_seeds(by_line, above, MEAN) - of_seeds(by_line, below, MEAN)).dropna()
            summary = summarise(gain)
            values = (dataset, family, protocol, higher, lower, summary.n_seeds, summary.mean)
            table.append((*values, summary.ci95_low, summary.ci95_high, verdict(summary)))
    columns = "dataset family protocol higher lower n_seeds difference ci95_low ci95_high verdict"
    return pd.DataFrame(table, columns=columns.split())


def write(
    cells: Path, runs: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> None:
    """Write every table of a study.

    Args:
        cells: `cells.parquet`.
        runs: `runs.parquet`.
        folder: where `table1.{csv,md,tex}`, `table3.csv`, `table3_differences.csv`, `phases.csv`, `comparisons.csv` and
            `published.csv` go.
        expected: the study's cells, in study order; those that are not there are shown as missing.
        protocols: the study's protocols by name; their `final` is read from here, not from the runs.
    """
    protocols = finals.of_cells(expected, protocols)
    numbers = final_numbers(cells, protocols)
    run_table = read_runs(runs)
    first = table1(numbers, run_table, expected, protocols)
    third = table3.lines(numbers, run_table, expected, protocols)
    tables = {
        "table1": first,
        "table3": third,
        "table3_differences": table3.differences(third, numbers, expected, protocols),
        "phases": phases(cells, expected, protocols),
        "comparisons": comparisons(numbers, expected),
        "published": published.means(expected, protocols),
    }
    for name, table in tables.items():
        with files.complete(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False, float_format="%.4f")
    for suffix, text in (("md", typeset.markdown(first)), ("tex", typeset.latex(first))):
        with files.complete(folder / f"table1.{suffix}") as partial:
            partial.write_text(text)


def read(path: Path, *more: str) -> pd.DataFrame:
    """A table of `tables/`; what is empty is an empty string in columns of words (`WORDS`, `more`), NaN in others."""
    columns = pd.read_csv(path, nrows=0).columns
    words = [name for name in columns if name in WORDS.union(more)]
    empty = {name: [""] for name in columns if name not in words}
    return pd.read_csv(path, dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=empty)
