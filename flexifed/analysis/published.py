"""What the paper and its reproductions publish: the tables of `flexifed/published/`."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from flexifed.analysis.finals import MEAN
from flexifed.cell import Cell

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


def means(expected: Sequence[Cell]) -> pd.DataFrame:
    """Means over V1..V4 that the paper and three reproductions report for the study's blocks, in percent.

    The sources differ in data, rounds and the moment of the test, so only orderings compare across them.
    """
    table = numbers()
    line = ["dataset", "family", "strategy", "source"]
    means = table.groupby(line, sort=False)["accuracy_percent"].mean().rename("mean").reset_index()
    blocks = list(dict.fromkeys((cell.dataset, cell.family) for cell in expected))
    means = means[[block in blocks for block in zip(means["dataset"], means["family"], strict=True)]]
    rank = [blocks.index(block) for block in zip(means["dataset"], means["family"], strict=True)]
    return means.assign(rank=rank).sort_values("rank", kind="stable").drop(columns="rank")
