"""Final numbers along a quantity that a study varies, as the paper varies versions, clients and common layers.

The paper says of each that more is better, so the difference between the highest and the lowest value is judged, paired
by seed: cells of one seed share initial weights, and partition and batches as far as the quantity leaves them alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from flexifed.analysis import finals, statistics
from flexifed.analysis.finals import MEAN, Row
from flexifed.analysis.titles import strategy_rank, title
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

LEVELS, GAINS = "sweep.csv", "sweep_gains.csv"


def levels(
    numbers: pd.DataFrame,
    expected: Sequence[Cell],
    protocols: Mapping[str, Protocol],
    over: str,
    values: Mapping[str, float],
) -> pd.DataFrame:
    """The final number of every strategy at every value, whether its cells are there or not.

    Args:
        numbers: as `finals.final_numbers` gives them.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
        over: the quantity.
        values: its value, by protocol.

    Returns:
        Columns dataset, family, strategy, protocol, over, level (the value), versions (what the mean is over, e.g. `V1
        V2`), n_seeds, mean, std, ci95_low and ci95_high (percent, mean over versions) and note, which names missing
        seeds. In order of data set and family, strategy, value. A combination that no block of the study has (with one
        version all strategies that average are one federation) has no row.
    """
    by_line = finals.seeds_by_line(numbers)
    table = []
    for lines in _lines(expected, values):
        for row in lines:
            found = finals.of_seeds(by_line, row, MEAN)
            table.append(
                {**row._asdict(), "over": over, "level": values[row.protocol]}
                | {"versions": " ".join(protocols[row.protocol].versions), **vars(statistics.summarise(found))}
                | {"note": finals.missing_seeds(row, found)}
            )
    return pd.DataFrame(table).drop(columns="seeds")


def gains(
    numbers: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol], values: Mapping[str, float]
) -> pd.DataFrame:
    """What the highest value gains on the lowest at which the study has the strategy, from differences within a seed.

    Args:
        numbers: as `finals.final_numbers` gives them.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
        values: the quantity's value, by protocol.

    Returns:
        Columns dataset, family, strategy, lowest, highest, of, n_seeds, difference, ci95_low, ci95_high (percentage
        points, Student's t) and verdict (`statistics.verdict` on the claim that more is better). `of` is `mean`: of the
        means over each end's own versions. Where the ends have other versions, a second row is of those that both have
        (`V1`), since a mean over more versions is a mean over other models.
    """
    by_line = finals.seeds_by_line(numbers)
    table = []
    for low, *_, high in (lines for lines in _lines(expected, values) if len(lines) > 1):
        ours, theirs = (protocols[row.protocol].versions for row in (high, low))
        both = [version for version in ours if version in theirs]
        for versions in [[MEAN]] + [both] * (ours != theirs and both != []):
            gain = _mean_of(by_line, high, versions) - _mean_of(by_line, low, versions)
            summary = statistics.summarise(gain.dropna())
            ends = (values[low.protocol], values[high.protocol], " ".join(versions), summary.n_seeds, summary.mean)
            table.append((*low[:3], *ends, summary.ci95_low, summary.ci95_high, statistics.verdict(summary)))
    columns = "dataset family strategy lowest highest of n_seeds difference ci95_low ci95_high verdict"
    return pd.DataFrame(table, columns=columns.split())


def _lines(expected: Sequence[Cell], values: Mapping[str, float]) -> Iterator[list[Row]]:
    """The lines of the study by data set, family and strategy, each from the lowest value to the highest."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in finals.rows(expected):
        if row.protocol in values:
            found.setdefault(row[:3], []).append(row)
    blocks = list(dict.fromkeys(key[:2] for key in found))
    for key in sorted(found, key=lambda key: (blocks.index(key[:2]), strategy_rank(key[2]))):
        yield sorted(found[key], key=lambda row: values[row.protocol])


def _mean_of(
    by_line: Mapping[tuple[str, ...], "pd.Series[float]"], row: Row, versions: Sequence[str]
) -> "pd.Series[float]":
    """Mean of some versions (or of `mean` alone) by seed."""
    return pd.concat([finals.of_seeds(by_line, row, version) for version in versions], axis=1).mean(axis=1)


def remarks(table: pd.DataFrame) -> list[str]:
    """What a reader of `levels` must know: values with some of the strategies only, and means over other versions."""
    found = []
    strategies = list(dict.fromkeys(table["strategy"]))
    by_level = {f"{level:g}": lines for level, lines in table.groupby("level")}
    for level, lines in by_level.items():
        there = [title(strategy) for strategy in strategies if strategy in set(lines["strategy"])]
        if len(there) < len(strategies):
            one_version = " ".join(lines["versions"].unique()).count(" ") == 0
            why = ": with one version, all strategies that average are the same federation" if one_version else ""
            found.append(f"At {level} there is {', '.join(there)} alone{why}.")
    versions = {level: " and ".join(lines["versions"].unique()) for level, lines in by_level.items()}
    if len(set(versions.values())) > 1:
        over = ", ".join(f"at {level} over {names}" for level, names in versions.items())
        found.append(f"Means are over the versions that are there: {over}.")
    return found


def write(
    cells: Path,
    folder: Path,
    *,
    expected: Sequence[Cell],
    protocols: Mapping[str, Protocol],
    over: str,
    values: Mapping[str, float],
) -> None:
    """Write `sweep.csv` (as `levels`) and `sweep_gains.csv` (as `gains`).

    Args:
        cells: `cells.parquet`.
        folder: where the tables go.
        expected: the study's cells, in study order; those that are not there have no number.
        protocols: the study's protocols by name.
        over: the quantity.
        values: its value, by protocol.
    """
    numbers = finals.final_numbers(cells, {name: protocols[name] for name in values})
    found = {LEVELS: levels(numbers, expected, protocols, over, values)}
    found[GAINS] = gains(numbers, expected, protocols, values)
    for name, table in found.items():
        with files.complete(folder / name) as partial:
            table.to_csv(partial, index=False, float_format="%.4f")
