"""What others publish of the systems covered here: the tables of `flexifed/published/`.

- `numbers.csv`, a row for each number: system, source, what it is of (data set, model, strategy and, where the source
  says them, the settings), metric, when in the run (`at`), value, and what the source remarks. A number without `at`
  is a final one, by its source's own rule, of versions side by side: FlexiFed's Table 1.
- `claims.csv`, a row for each claim: which strategy is above which, in what, and by how much where the source says so.
- `apart.csv`, a row for each number that no study here has the settings for: what it is of, and its value, in words.
- `systems.csv` and `sources.csv`, a row for each system and source: where to find it, and what stands `against` setting
  anything of ours beside its numbers.
"""

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
    table = table1()
    table = table[(table["source"] == PAPER) & table["version"].isin(versions)]
    line = ["dataset", "family", "strategy"]
    means = table.groupby(line)["accuracy_percent"].mean().reset_index().assign(version=MEAN)
    both = pd.concat([table, means])
    return {(*key,): value for *key, value in both[[*line, "version", "accuracy_percent"]].itertuples(index=False)}


@lru_cache
def numbers() -> pd.DataFrame:
    """`numbers.csv`, all of it words; what a source does not say, or tunes, is empty."""
    return pd.read_csv(FOLDER / "numbers.csv", keep_default_na=False, dtype=str)


@lru_cache
def table1() -> pd.DataFrame:
    """The paper's Table 1 and its reproductions': source, dataset, family, strategy, version, accuracy_percent."""
    final = numbers()[numbers()["at"] == ""]
    columns = ["source", "dataset", "family", "strategy", "version"]
    return final[columns].assign(accuracy_percent=final["value"].astype(float))


def families() -> set[str]:
    """The families of the paper and its reproductions: what is said of their protocol concerns no other."""
    return set(table1()["family"])


@lru_cache
def apart() -> pd.DataFrame:
    """`apart.csv`, all of it words."""
    return pd.read_csv(FOLDER / "apart.csv", keep_default_na=False, dtype=str)


@lru_cache
def systems() -> dict[str, dict[str, str]]:
    """`systems.csv` by system, in the order to show them: title, by, address, about, page."""
    return _by("system", "systems")


@lru_cache
def sources() -> dict[str, dict[str, str]]:
    """`sources.csv` by source, in the order to show them: system, address, against."""
    return _by("source", "sources")


def _by(column: str, name: str) -> dict[str, dict[str, str]]:
    rows = pd.read_csv(FOLDER / f"{name}.csv", keep_default_na=False, dtype=str).to_dict("records")
    return {str(row[column]): {str(key): str(value) for key, value in row.items()} for row in rows}


ORDER, GAIN, SPEED = "final number", "gain in points", "speed in times"
TIME, VARIANCE = "seconds in times", "variance over clients"
"""What a claim is about: which final number is higher; by how many points; in how many times fewer rounds; in how many
times fewer seconds on the devices; which numbers of clients vary more."""


@lru_cache
def claims() -> pd.DataFrame:
    """`claims.csv`: system, source, about, higher, lower (strategies), low and high (the claimed range, or NaN)."""
    return pd.read_csv(FOLDER / "claims.csv")


def orderings() -> list[tuple[str, str]]:
    """Higher and lower strategy of every claimed ordering."""
    found = claims()
    return list(found.loc[found["about"] == ORDER, ["higher", "lower"]].itertuples(index=False, name=None))


def means(expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """Means over a protocol's versions, in percent, that the paper and three reproductions report for the blocks.

    The sources differ in data, rounds and the moment of the test, so only orderings compare across them.
    """
    table, line = table1(), ["dataset", "family", "strategy", "source"]
    found = []
    for dataset, family, protocol in dict.fromkeys((cell.dataset, cell.family, cell.protocol) for cell in expected):
        versions = protocols[protocol].versions
        same = (table["dataset"] == dataset) & (table["family"] == family) & table["version"].isin(versions)
        lines = table[same].groupby(line, sort=False)["accuracy_percent"].agg(["mean", "count"]).reset_index()
        found.append(lines[lines["count"] == len(versions)].assign(protocol=protocol))
    return pd.concat(found)[[*line, "protocol", "mean"]]
