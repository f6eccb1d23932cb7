"""What the click data sets share: tables read and checked, ids as rows of embedding tables, splits, and samples.

A sample is a pair of named arrays, kept as one structured array: `dense`, features that are numbers, and `sparse`, for
each embedding table the row that belongs to the sample.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexifed.data.samples import Prepared, Split
from flexifed.system.errors import UserError

CLASSES = ("no click", "click")

TEST_FRACTION = 0.2

Values = NDArray[Any]
Mask = NDArray[np.bool_]


def read_table(path: Path, columns: Sequence[str], **options: Any) -> pd.DataFrame:
    """A table in a text file, with blanks around the names of its columns removed.

    Args:
        path: The file.
        columns: Those that are wanted; others are dropped.
        options: Of `pandas.read_csv`.

    Raises:
        UserError: it is no such table, lacks a column, has no rows, or has rows with more columns than names.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, low_memory=False, skip_blank_lines=False, index_col=False, **options)
    except pd.errors.ParserWarning as error:
        raise UserError(f"{path}: its rows have more columns than there are names.") from error
    except (ValueError, OverflowError) as error:  # ParserError and UnicodeDecodeError are of these
        raise UserError(f"{path} cannot be read as a table ({error}).") from error
    table.columns = table.columns.astype(str).str.strip()
    if missing := [column for column in columns if column not in table.columns]:
        found = ", ".join(table.columns)
        raise UserError(f"{path}: no column {', '.join(missing)}; expected {', '.join(columns)}, found {found}.")
    if table.empty:
        raise UserError(f"{path} has no rows.")
    wanted: pd.DataFrame = table[list(columns)]
    return wanted


def numbers(path: Path, table: pd.DataFrame, column: str, *, first_row: int = 2, gaps: bool = False) -> Values:
    """A column as float64 [N].

    Args:
        path: The table's file, for the error.
        table: With N rows.
        column: Its name.
        first_row: Number of the table's first row in the file.
        gaps: Whether values may be missing; they are NaN then.

    Raises:
        UserError: a value is not a finite number, or is missing; the row is named.
    """
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    wrong = ~np.isfinite(values) & ~(gaps & table[column].isna().to_numpy())
    if wrong.any():
        _refuse(path, table, column, wrong, "a number", first_row)
    return values


def whole(path: Path, table: pd.DataFrame, column: str, *, first_row: int = 2, gaps: bool = False) -> Values:
    """A column of whole numbers as float64 [N], see `numbers`; beyond 2**53 they could not be told apart."""
    values = numbers(path, table, column, first_row=first_row, gaps=gaps)
    wrong = (values != np.rint(values)) & ~np.isnan(values) | (np.abs(values) > 2**53)
    if wrong.any():
        _refuse(path, table, column, wrong, "a whole number", first_row)
    return values


def only(
    path: Path, table: pd.DataFrame, column: str, values: Values, right: Mask, expected: str, *, first_row: int = 2
) -> Values:
    """The values of a column, where all of them are right.

    Raises:
        UserError: one is not; the row is named.
    """
    if not right.all():
        _refuse(path, table, column, ~right, expected, first_row)
    return values


def _refuse(path: Path, table: pd.DataFrame, column: str, wrong: Mask, expected: str, first_row: int) -> None:
    row = int(np.argmax(wrong))
    found = table[column].iloc[row]
    said = "nothing" if pd.isna(found) else repr(found if isinstance(found, str) else found.item())
    raise UserError(f"{path}, row {row + first_row}: {column} must be {expected}, found {said}.")


def filled(values: Values) -> Values:
    """Missing values (NaN) replaced by the most frequent one, the smallest of several; 0 where there is none."""
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    mode = known[np.argmax(counts)] if len(known) else 0.0
    return np.where(np.isnan(values), mode, values)


def rows_of(values: Values, test: Mask, *, joint: bool = True) -> tuple[NDArray[np.int32], int]:
    """Ids as rows of an embedding table: their ranks among the ids that occur.

    Args:
        values: [N] ids.
        test: bool [N], which samples are test samples.
        joint: One map for both splits. Else each split has its own, so that the same id may have different rows.

    Returns:
        int32 [N], and the number of rows of the table: the ids of both splits, or of the split that has more of them.
    """
    rows, sizes = np.empty(len(values), np.int32), []
    for part in (np.ones(len(values), bool),) if joint else (~test, test):
        known, rows[part] = np.unique(values[part], return_inverse=True)
        sizes.append(len(known))
    return rows, max(sizes)


def standardised(values: Values, training: Mask) -> Values:
    """A feature, float64 [N], less its mean and over its standard deviation in the training split; a constant is 0."""
    known = values[training]
    std = known.std() if np.ptp(known) > 0 else 1.0
    scaled: Values = (values - known.mean()) / std
    return scaled


def random_test(n: int, rng: np.random.Generator) -> Mask:
    """A random fifth of n samples, as bool [n]; the number is rounded."""
    test: Mask = rng.permutation(n) < round(TEST_FRACTION * n)
    return test


def prepared(
    dense: Mapping[str, Values],
    sparse: Mapping[str, Values],
    clicks: Mask,
    test: Mask,
    users: Values,
    notes: Sequence[str],
    ids: str,
) -> Prepared:
    """Both splits, in the order of the rows.

    Args:
        dense: Features by name, float64 [N], without gaps.
        sparse: Ids by name, [N], one embedding table each.
        clicks: bool [N].
        test: bool [N], which samples are test samples.
        users: [N] whose impressions they are; groups are their ranks, over both splits.
        notes: For the card, which says as well how ids are mapped.
        ids: One map from ids to rows for both splits ("joint"), or one for each ("per_split"), see `rows_of`.

    Raises:
        UserError: a split is empty.
    """
    if test.all() or not test.any():
        raise UserError(f"{len(test)} impressions cannot be split into a training and a test set.")
    tables = {name: rows_of(values, test, joint=ids == "joint") for name, values in sparse.items()}
    samples = np.empty(len(test), [("dense", "<f4", (len(dense),)), ("sparse", "<i4", (len(sparse),))])
    for column, values in enumerate(dense.values()):
        samples["dense"][:, column] = standardised(values, ~test)
    for column, (rows, _) in enumerate(tables.values()):
        samples["sparse"][:, column] = rows
    labels, (groups, count) = clicks.astype(np.int64), rows_of(users, test)
    train, tested = (Split(samples[part], labels[part], groups[part]) for part in (~test, test))
    maps = "one map of ids over both splits" if ids == "joint" else "a map of ids for each split: the ids do not agree"
    said = (f"{count:,} users, {100 * clicks.mean():.2f} % clicks", *notes, maps)
    shape = (len(dense), *(size for _, size in tables.values()))
    return Prepared(train, tested, CLASSES, said, shape, {"dense": tuple(dense), "sparse": tuple(sparse)})
