"""What the paper and its reproductions publish: the tables of `flexifed/published/`."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from flexifed.analysis.finals import MEAN
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol

FOLDER = Path(__file__).parent.parent / "published"
PAPER = "paper"
"""Stands for a source of published numbers: the paper."""


@lru_cache
def paper(versions: tuple[str, ...]) -> dict[tuple[str, str, str, str], float]:
    """The paper's Table 1 in percent, with the mean over `versions` of each line."""
    table = pd.read_csv(FOLDER / "paper_table1.csv")
    table = table[table["version"].isin(versions)]
    line = ["dataset", "family", "strategy"]
    means = table.groupby(line)["accuracy_percent"].mean().reset_index().assign(version=MEAN)
    both = pd.concat([table, means])
    return {(*key,): value for *key, value in both[[*line, "version", "accuracy_percent"]].itertuples(index=False)}


def numbers() -> pd.DataFrame:
    """What the paper and its reproductions publish: source, dataset, family, strategy, version, accuracy_percent."""
    papers = pd.read_csv(FOLDER / "paper_table1.csv").assign(source=PAPER)
    return pd.concat([papers, pd.read_csv(FOLDER / "reproductions_table1.csv")], ignore_index=True)


def means(expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """Means over a protocol's versions, in percent, that the paper and three reproductions report for the blocks.

    The sources differ in data, rounds and the moment of the test, so only orderings compare across them.
    """
    table, line = numbers(), ["dataset", "family", "strategy", "source"]
    found = []
    for dataset, family, protocol in dict.fromkeys((cell.dataset, cell.family, cell.protocol) for cell in expected):
        versions = protocols[protocol].versions
        same = (table["dataset"] == dataset) & (table["family"] == family) & table["version"].isin(versions)
        lines = table[same].groupby(line, sort=False)["accuracy_percent"].agg(["mean", "count"]).reset_index()
        found.append(lines[lines["count"] == len(versions)].assign(protocol=protocol))
    return pd.concat(found)[[*line, "protocol", "mean"]]
