"""Taobao display advertising: impressions of ads and whether they were clicked (Alibaba, Tianchi data set 56).

26 million impressions of a week in May 2017, 1.14 million users. It is handed out after a registration, under Tianchi's
terms, at https://tianchi.aliyun.com/dataset/56 (and on Kaggle), so a study names the folder as `local`.

Layout: `raw_sample.csv` (user, time_stamp, adgroup_id, pid, nonclk, clk), `user_profile.csv` (userid and eight
features), `ad_feature.csv` (adgroup_id, cate_id, campaign_id, customer, brand, price), with headers.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.source import locate
from flexifed.data.transforms import ClickTransform
from flexifed.datasets import _click
from flexifed.settings.rng import stream

KIND = "click"
TASK = "click_through"

ARCHIVES = ()  # given out after a registration; a study names the folder

FOLDER = "taobao"
FILES = ("raw_sample.csv", "user_profile.csv", "ad_feature.csv")

CLASSES = _click.CLASSES

TRANSFORM = ClickTransform()

ALLOWED = {"rows": (0, None), "ids": ("joint", "per_split"), "seed": (0, None)}
"""Least and most of each option, or its words."""

RAW = ("user", "time_stamp", "adgroup_id", "pid", "clk")
PROFILE = (
    *("cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level"),
    *("shopping_level", "occupation", "new_user_class_level"),
)
AD = ("cate_id", "campaign_id", "customer", "brand", "price")
LEVELS = PROFILE[1:]
"""What of a profile is dense: small numbers, most of them in an order."""

HOUR, BEIJING = 3600, 8  # seconds; hours ahead of UTC


def prepare(
    source: Path | None, workers: Workers, *, rows: int = 200_000, ids: str = "joint", seed: int = 0
) -> Prepared:
    """Join impressions with user profiles and ads, as FedScale's guide to a DLRM does; groups are users.

    Seven tables of ids: user, ad group, cms_segid, category, campaign, customer, brand. Ten dense features: the seven
    other columns of a profile (gender, levels and so on), the place on the page (pid, 0 or 1), the logarithm of 1 +
    price, and the hour in Beijing; each is standardised over the training split. Every id that occurs has a row.

    What is missing is filled with the most frequent value among the impressions that are read, as in the guide: grade
    of consumption and level of the city, which many profiles lack, brands that are NULL, and all of a profile where
    the user has none (these impressions are kept, and the card counts them). An ad group without a row is an error.

    Args:
        source: The data set's folder or its parent.
        workers: Told rows done and rows in total.
        rows: How many impressions are read, from the start of the file, in its order; 200,000 in the guide, 0 for all
            (26 million, for which some 12 GB of memory are needed).
        ids: One map from ids to rows for both splits ("joint"), or one "per_split": the guide's mistake, after which
            the same row of a table is another user or ad in training than in tests. Groups are right in both cases.
        seed: Of the split: a random fifth of the impressions is the test split.

    Raises:
        UserError: a file or a column is missing, a value is no number, an impression is of an ad group that is not
            listed, or a user or an ad group is listed twice; file, row and column are named.
    """
    folder = locate(source, FOLDER, FILES)
    profiles = _features(folder / "user_profile.csv", "userid", PROFILE)
    ads = _features(folder / "ad_feature.csv", "adgroup_id", AD)
    shown = _impressions(folder / "raw_sample.csv", rows, ads.index)
    user, ad = shown["user"].to_numpy(), shown["adgroup_id"].to_numpy()
    features = _joined(profiles, user) | _joined(ads, ad)
    sparse = {"user": user, "adgroup_id": ad} | {c: features[c] for c in ("cms_segid", *AD[:-1])}
    dense = {column: features[column] for column in LEVELS} | {
        "pid": np.unique(shown["pid"], return_inverse=True)[1].astype(np.float64),
        "price": np.log1p(features["price"]),
        "hour": (shown["time_stamp"].to_numpy() // HOUR + BEIJING) % 24,
    }
    workers.progress(len(shown), len(shown))
    test = _click.random_test(len(shown), stream(seed, "taobao", "test"))
    notes = (
        f"the first {len(shown):,} impressions" if rows else "all impressions",
        f"{np.count_nonzero(~np.isin(user, profiles.index)):,} impressions of users without a profile",
    )
    return _click.prepared(dense, sparse, shown["clk"].to_numpy() == 1, test, user, notes, ids)


def _impressions(path: Path, rows: int, ads: pd.Index) -> pd.DataFrame:
    """user, time_stamp (seconds), adgroup_id and clk as int64, and pid as text."""
    table = _click.read_table(path, RAW, nrows=rows or None)
    columns = {column: _click.whole(path, table, column).astype(np.int64) for column in RAW if column != "pid"}
    _click.only(path, table, "clk", columns["clk"], np.isin(columns["clk"], (0, 1)), "0 or 1")
    listed = np.isin(columns["adgroup_id"], ads.to_numpy())
    _click.only(path, table, "adgroup_id", columns["adgroup_id"], listed, "an ad group listed in ad_feature.csv")
    pid = table["pid"]
    _click.only(path, table, "pid", pid.to_numpy(), pid.notna().to_numpy(), "a place on the page")
    return pd.DataFrame(columns | {"pid": pid.astype(str)})


def _features(path: Path, key: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Whole numbers and prices by user or ad group, float64; NaN where they are missing."""
    table = _click.read_table(path, (key, *columns))
    ids = _click.whole(path, table, key).astype(np.int64)
    _click.only(path, table, key, ids, ~table[key].duplicated().to_numpy(), "listed once")
    values = {column: _click.whole(path, table, column, gaps=True) for column in columns if column != "price"}
    if "price" in columns:
        price = _click.numbers(path, table, "price", gaps=True)
        values["price"] = _click.only(path, table, "price", price, ~(price < 0), "0 or more")
    return pd.DataFrame(values, index=ids)


def _joined(table: pd.DataFrame, keys: np.ndarray) -> dict[str, np.ndarray]:
    """Each column of a table for the keys, float64 [N], with what is missing filled; keys may be missing as well."""
    places = table.index.get_indexer(pd.Index(keys))
    columns = {name: np.append(values, np.nan) for name, values in table.items()}  # place -1 is the end
    return {str(name): _click.filled(values[places]) for name, values in columns.items()}
