"""Table 3: what it costs or gives Max-Common to average the classifier across versions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations

import pandas as pd

from flexifed.analysis import published
from flexifed.analysis.comparable import line_runs, obstacles
from flexifed.analysis.finals import MEAN, of_seeds, rows, seeds_by_line
from flexifed.analysis.statistics import summarise, verdict
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol


def lines(
    numbers: pd.DataFrame, runs: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> pd.DataFrame:
    """Max-Common by what is done with the classifier (`same_architecture`, `none`, `all`), as the paper's Table 3.

    Means over versions. The paper has two columns: averaged across versions (`all`), and not.
    """
    by_line = seeds_by_line(numbers)
    reference = pd.read_csv(published.FOLDER / "paper_table3.csv").set_index(["dataset", "family"])
    table = []
    for row in rows(expected):
        if row.strategy != "max_common":
            continue
        protocol, line = protocols[row.protocol], line_runs(runs, row)
        against = obstacles(line, protocol) if len(line) else ["missing"]
        if protocol.versions != Protocol().versions:
            against.append(f"mean over {' '.join(protocol.versions)} (Table 3: over all four)")
        column = "with_fc_percent" if protocol.classifier == "all" else "without_fc_percent"
        comparable = not against and (row.dataset, row.family) in reference.index
        summary = summarise(of_seeds(by_line, row, MEAN))
        table.append(
            {"dataset": row.dataset, "family": row.family, "protocol": row.protocol, "classifier": protocol.classifier}
            | vars(summary)
            | {"paper": reference.loc[(row.dataset, row.family), column] if comparable else math.nan}
            | {"note": "; ".join(against)}
        )
    columns = "dataset family protocol classifier n_seeds mean std ci95_low ci95_high paper note"
    return pd.DataFrame(table, columns=columns.split())


def differences(
    third: pd.DataFrame, numbers: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> pd.DataFrame:
    """What it gives Max-Common not to average the classifier across versions, from differences within a seed.

    A row for each protocol that averages the classifier within a version or never, less the one that averages it across
    versions and is otherwise the same. `verdict` is on the claim of the paper's Table 3 that the difference is above
    zero; `paper` is its difference, where both lines of `third` are comparable.

    Args:
        third: as `table3` gives it.
        numbers: as `final_numbers` gives them.
        expected: the study's cells.
        protocols: the study's protocols by name.
    """
    by_line = seeds_by_line(numbers)
    published = third.set_index(["dataset", "family", "protocol"])["paper"]
    lines = [row for row in rows(expected) if row.strategy == "max_common"]
    table = []
    for kept, across in permutations(lines, 2):
        protocol, shared = protocols[kept.protocol], protocols[across.protocol]
        unlike = protocol.classifier == "all" or replace(protocol, classifier="all") != shared
        if kept[:2] != across[:2] or unlike:
            continue
        summary = summarise((of_seeds(by_line, kept, MEAN) - of_seeds(by_line, across, MEAN)).dropna())
        values = (*kept[:2], kept.protocol, across.protocol, protocol.classifier, summary.n_seeds, summary.mean)
        paper = published[(*kept[:2], kept.protocol)] - published[(*kept[:2], across.protocol)]
        table.append((*values, summary.ci95_low, summary.ci95_high, verdict(summary), paper))
    columns = "dataset family protocol across classifier n_seeds difference ci95_low ci95_high verdict paper"
    return pd.DataFrame(table, columns=columns.split())
