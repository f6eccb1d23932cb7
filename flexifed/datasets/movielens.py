"""MovieLens-100k as clicks: 100,000 ratings of 1,682 films by 943 users; four stars and more are a click.

By GroupLens (Harper and Konstan, 2015): research use with acknowledgement, no redistribution without permission, no
commercial use; see the README in the archive.

Layout: `u.data` (user, item, rating, time; tabs), `u.user` (id|age|gender|occupation|zip code), `u.item` (id|title|
date|date of the video|address|19 flags of genres), in Latin-1, without headers.
"""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexifed.data.archives import Archive
from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.source import locate
from flexifed.data.transforms import ClickTransform
from flexifed.datasets import _click
from flexifed.settings.rng import stream

KIND = "click"
TASK = "click_through"

ARCHIVES = (
    Archive(
        file="ml-100k.zip",
        urls=("https://files.grouplens.org/datasets/movielens/ml-100k.zip",),
        md5="0e33842e24a9c977be4e0107933c0723",
        licence="research use, no redistribution, no commercial use; cite Harper and Konstan 2015",
    ),
)

FOLDER = "ml-100k"
FILES = ("u.data", "u.user", "u.item")

CLASSES = _click.CLASSES

TRANSFORM = ClickTransform()

ALLOWED = {"split": ("random", "time"), "ids": ("joint", "per_split"), "seed": (0, None)}
"""Least and most of each option, or its words."""

RATINGS = ("user", "item", "rating", "time")
USERS = ("user", "age", "gender", "occupation", "zip")
GENRES = (
    *("unknown", "action", "adventure", "animation", "children", "comedy", "crime", "documentary", "drama", "fantasy"),
    *("film-noir", "horror", "musical", "mystery", "romance", "sci-fi", "thriller", "war", "western"),
)
ITEMS = ("item", "title", "released", "video", "address", *GENRES)

CLICK = 4  # stars
AGES = (18, 25, 35, 45, 50, 56)  # first years of the groups after the youngest, as in MovieLens-1M
HOUR, DAY = 3600, 86_400  # seconds


def prepare(
    source: Path | None, workers: Workers, *, split: str = "random", ids: str = "joint", seed: int = 0
) -> Prepared:
    """Join ratings with users and films; groups are users.

    Tables of ids: user, item, age group (seven, as in MovieLens-1M), gender, occupation, region (first character of the
    zip code, letters as one), decade of release. Dense features: age, year of release (the most frequent one where it
    is not known), hour and weekday of the rating (UTC), and 19 flags of genres; each is standardised over the training
    split. The stars enter the label alone. Every id of both splits has a row; those that no training sample has stay
    as they were initialised.

    Args:
        source: The data set's folder or its parent.
        workers: Told rows done and rows in total.
        split: A fifth of each user's ratings (rounded) is the test split: "random" ones, or the latest in "time".
        ids: One map from ids to rows for both splits ("joint"), or one "per_split": a mistake of FedScale's guide, see
            `movielens_per_split`.
        seed: Of the random split.

    Raises:
        UserError: a file is missing, a value is missing or is none, or a rating is of a user or a film that is not
            listed; file and row are named.
    """
    folder = locate(source, FOLDER, FILES)
    ratings, users, items = _ratings(folder), _users(folder), _items(folder)
    who, what = (_listed(folder, ratings, name, known) for name, known in (("user", users), ("item", items)))
    users, items = users.loc[who].reset_index(drop=True), items.loc[what].reset_index(drop=True)
    time = ratings["time"].to_numpy()
    test = _test(who, time if split == "time" else None, seed)
    dense = {
        "age": users["age"].to_numpy(),
        "year": items["year"].to_numpy(),
        "hour": time % DAY // HOUR,
        "weekday": (time // DAY + 3) % 7,  # the first day of 1970 was a Thursday
        **{genre: items[genre].to_numpy() for genre in GENRES},
    }
    sparse = {
        "user": who,
        "item": what,
        "age group": np.searchsorted(AGES, users["age"].to_numpy(), side="right"),
        "gender": users["gender"].to_numpy(),
        "occupation": users["occupation"].to_numpy(),
        "region": users["region"].to_numpy(),
        "decade": items["year"].to_numpy() // 10,
    }
    workers.progress(len(ratings), len(ratings))
    clicks = (ratings["rating"] >= CLICK).to_numpy()
    return _click.prepared(dense, sparse, clicks, test, who, (f"split within users, {split}",), ids)


def _test(who: np.ndarray, time: np.ndarray | None, seed: int) -> np.ndarray:
    """Which ratings are test samples, bool [N]: each user's latest (of equal times the later rows), or random ones."""
    test = np.zeros(len(who), bool)
    for user in np.unique(who):
        rows = np.flatnonzero(who == user)
        late = round(_click.TEST_FRACTION * len(rows))
        if time is None:
            test[rows] = _click.random_test(len(rows), stream(seed, "movielens", "test", int(user)))
        else:
            test[rows[np.argsort(time[rows], kind="stable")][len(rows) - late :]] = True
    return test


def _table(path: Path, names: tuple[str, ...], separator: str) -> pd.DataFrame:
    form: dict[str, Any] = {"sep": separator, "encoding": "latin-1", "quoting": csv.QUOTE_NONE}
    return _click.read_table(path, names, header=None, names=list(names), dtype=str, keep_default_na=False, **form)


def _ratings(folder: Path) -> pd.DataFrame:
    """user, item, rating and time (seconds), as int64."""
    path = folder / "u.data"
    table = _table(path, RATINGS, "\t")
    ratings = pd.DataFrame({name: _click.whole(path, table, name, first_row=1).astype(np.int64) for name in RATINGS})
    stars = ratings["rating"].to_numpy()
    _click.only(path, table, "rating", stars, (stars >= 1) & (stars <= 5), "1 to 5 stars", first_row=1)
    return ratings


def _users(folder: Path) -> pd.DataFrame:
    """age, gender, occupation, zip and region by user."""
    path = folder / "u.user"
    table = _table(path, USERS, "|")
    columns: dict[str, np.ndarray] = {"age": _click.whole(path, table, "age", first_row=1)}
    for name in ("gender", "occupation", "zip"):
        text = table[name].to_numpy(str)
        columns[name] = _click.only(path, table, name, text, text != "", "given", first_row=1)
    first = table["zip"].str[:1]
    columns["region"] = first.where(first.str.isdecimal(), "letter").to_numpy(str)
    return pd.DataFrame(columns, index=_ids(path, table, "user"))


def _items(folder: Path) -> pd.DataFrame:
    """year, and 19 flags of genres, by film."""
    path = folder / "u.item"
    table = _table(path, ITEMS, "|")
    year = table[["released"]].apply(lambda column: column.str[-4:].replace("", np.nan))
    columns = {"year": _click.filled(_click.whole(path, year, "released", first_row=1, gaps=True))}
    for genre in GENRES:
        flags = _click.whole(path, table, genre, first_row=1)
        columns[genre] = _click.only(path, table, genre, flags, np.isin(flags, (0, 1)), "0 or 1", first_row=1)
    return pd.DataFrame(columns, index=_ids(path, table, "item"))


def _ids(path: Path, table: pd.DataFrame, column: str) -> pd.Index:
    ids = _click.whole(path, table, column, first_row=1).astype(np.int64)
    once = ~pd.Series(ids).duplicated().to_numpy()
    return pd.Index(_click.only(path, table, column, ids, once, f"listed once, as every {column}", first_row=1))


def _listed(folder: Path, ratings: pd.DataFrame, column: str, known: pd.DataFrame) -> np.ndarray:
    """The users or films of the ratings, int64 [N], all of which are listed."""
    ids = ratings[column].to_numpy()
    right = np.isin(ids, known.index.to_numpy())
    return _click.only(folder / "u.data", ratings, column, ids, right, f"listed in u.{column}", first_row=1)
