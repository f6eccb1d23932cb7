"""How much of what is published has been reproduced: by system and source, what each number came to.

Read from the tables of committed reference results: `beside.csv` for numbers of single settings, `errors.csv` for
FlexiFed's Table 1. A number that several lines stand beside (rates, protocols) counts once, by its best outcome.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from flexifed.analysis import beside, published, tables
from flexifed.analysis.finals import MEAN
from flexifed.analysis.statistics import Verdict

REPRODUCED, ABOVE, BELOW, UNDECIDED, OPEN = "reproduced", "theirs is higher", "theirs is lower", "undecided", "open"
OUTCOMES = (REPRODUCED, ABOVE, BELOW, UNDECIDED, OPEN)
"""Best first. Undecided: run, with too few seeds, without arriving, or in a setting that cannot be compared."""

_OF_SETTING = {
    beside.INSIDE: REPRODUCED,
    beside.ABOVE: ABOVE,
    beside.BELOW: BELOW,
    Verdict.MISSING.value: OPEN,
}
_OF_TABLE1 = {"inside": REPRODUCED, "above": ABOVE, "below": BELOW, "missing": OPEN}

COLUMNS = ["system", "source", "numbers", *OUTCOMES]


def board(folders: Sequence[Path]) -> pd.DataFrame:
    """A row for each system and source.

    Args:
        folders: of reference results, each with `tables/`.

    Returns:
        `COLUMNS`: how many numbers the source publishes, and how many of them came to what.
    """
    numbers = published.numbers()
    best: dict[tuple[str, ...], str] = {}
    for key, outcome in (found for folder in folders for found in _outcomes(folder / "tables")):
        best[key] = min(best.get(key, OPEN), outcome, key=OUTCOMES.index)
    keys = [_key(row) for row in numbers.to_dict("records")]
    outcomes = pd.Series([best.get(key, OPEN) for key in keys], numbers.index)
    counts = pd.crosstab([numbers["system"], numbers["source"]], outcomes).reindex(columns=list(OUTCOMES), fill_value=0)
    order = numbers[["system", "source"]].drop_duplicates()
    table = order.merge(counts, left_on=["system", "source"], right_index=True)
    return table.assign(numbers=table[list(OUTCOMES)].sum(axis=1))[COLUMNS].reset_index(drop=True)


def _key(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    """What tells a published number from every other: what it is of, and of a single setting when, and its value."""
    what = (row["source"], row["dataset"], row["family"], row["version"], row["strategy"], row["metric"])
    return (*what, f"{float(row['at']):g}", f"{float(row['value']):g}") if row["at"] else what


def _outcomes(folder: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Each line that stands beside a number, and what it came to."""
    if (folder / "beside.csv").exists():
        for row in tables.read(folder / "beside.csv").to_dict("records"):
            yield _key(row | {"value": row["published"]}), _OF_SETTING.get(row["verdict"], UNDECIDED)
    if (folder / "errors.csv").exists():
        for row in tables.read(folder / "errors.csv").to_dict("records"):
            if row["version"] != MEAN:
                yield _key(row | {"metric": "accuracy", "at": ""}), _OF_TABLE1.get(row["published_is"], UNDECIDED)
