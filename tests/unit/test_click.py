"""Click data: features worked by hand, maps of ids, what is filled, splits, and what is said of wrong tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.datasets import _click, movielens, movielens_per_split, taobao
from flexifed.system.errors import UserError
from tests import miniature

REPOSITORY = Path(__file__).parents[2]
WORKERS = Workers(1, lambda *_: None)
NAN = np.nan

FILMS = {
    "u.data": "7\t1\t4\t874965758\n7\t3\t3\t874965759\n9\t1\t5\t0\n9\t3\t1\t3600\n9\t2\t2\t3600\n",
    "u.user": "7|17|M|writer|T8H1N\n9|56|F|other|85711\n",
    "u.item": "".join(
        f"{item}|Film {item}|{date}||http://x|{'|'.join('1' if g in genres else '0' for g in range(19))}\n"
        for item, date, genres in ((1, "01-Jan-1995", (5, 8)), (2, "", ()), (3, "02-Feb-1959", (18,)))
    ),
}
RAW = (
    "user,time_stamp,adgroup_id,pid,nonclk,clk\n"
    "5,1494000000,70,430548_1007,1,0\n"
    "6,1494003600,71,430539_1007,0,1\n"
    "8,1494007200,70,430548_1007,1,0\n"
    "5,1494007200,72,430539_1007,1,0\n"
    "5,1494007200,70,430539_1007,0,1\n"
)
PROFILES = (
    "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,"
    "new_user_class_level \n"
    "5,10,1,2,3,,3,0,4\n"
    "6,20,2,1,5,2,1,1,\n"
    "99,30,9,1,5,1,1,1,1\n"
)
ADS = "adgroup_id,cate_id,campaign_id,customer,brand,price\n70,3,30,4,NULL,0\n71,4,31,4,900,1.5\n72,4,32,5,900,99\n"


def films(folder: Path, **changed: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in (FILMS | {f"u.{key}": text for key, text in changed.items()}).items():
        (folder / name).write_text(content, encoding="latin-1")
    return folder


def ads(folder: Path, *, raw: str = RAW, profiles: str = PROFILES, features: str = ADS) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in (("raw_sample", raw), ("user_profile", profiles), ("ad_feature", features)):
        (folder / f"{name}.csv").write_text(content)
    return folder


def prepare(module: Any, folder: Path, **options: Any) -> Prepared:
    made: Prepared = module.prepare(folder, WORKERS, **options)
    return made


@pytest.fixture
def raw_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense features as they are before they are standardised."""
    monkeypatch.setattr(_click, "standardised", lambda values, training: values)


@pytest.fixture
def nothing_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last sample is the test split, so that rows stay in their order."""
    monkeypatch.setattr(_click, "random_test", lambda n, rng: np.arange(n) == n - 1)


def columns(data: Prepared, kind: str) -> dict[str, list[Any]]:
    """Each column of `dense` or `sparse`, training samples first."""
    assert data.fields is not None
    both = np.concatenate([data.train.samples[kind], data.test.samples[kind]])
    return {name: column.tolist() for name, column in zip(data.fields[kind], both.T, strict=True)}


# What both have in common.


def test_gaps_are_filled_with_the_most_frequent_value() -> None:
    assert _click.filled(np.array([3.0, NAN, 2.0, 3.0, NAN])).tolist() == [3, 3, 2, 3, 3]
    assert _click.filled(np.array([3.0, NAN, 2.0])).tolist() == [3, 2, 2], "the smallest of several"
    assert _click.filled(np.array([NAN, NAN])).tolist() == [0, 0]


def test_one_map_of_ids_over_both_splits() -> None:
    test = np.array([False, False, False, True, True])
    rows, size = _click.rows_of(np.array([50, 20, 90, 90, 30]), test)
    assert (rows.tolist(), size) == ([2, 0, 3, 3, 1], 4)


def test_a_map_of_ids_for_each_split_tells_another_story_of_90() -> None:
    test = np.array([False, False, False, True, True])
    rows, size = _click.rows_of(np.array([50, 20, 90, 90, 30]), test, joint=False)
    assert (rows.tolist(), size) == ([1, 0, 2, 1, 0], 3)


def test_features_are_standardised_over_the_training_split() -> None:
    scaled = _click.standardised(np.array([1.0, 3.0, 100.0]), np.array([True, True, False]))
    assert scaled.tolist() == [-1, 1, 98]
    assert _click.standardised(np.array([5.0, 5.0, 7.0]), np.array([True, True, False])).tolist() == [0, 0, 2]


# MovieLens.


@pytest.mark.usefixtures("raw_features")
def test_movielens_by_hand(tmp_path: Path) -> None:
    """User 9 rated at the beginning of 1970, a Thursday; film 2 has no date."""
    data = prepare(movielens, films(tmp_path / "d"), split="time")

    assert data.shape == (23, 2, 3, 2, 2, 2, 2, 2)
    assert data.train.labels.tolist() == [1, 0, 1, 0] and data.test.labels.tolist() == [0]
    assert data.train.groups is not None and data.train.groups.tolist() == [0, 0, 1, 1]
    sparse, dense = columns(data, "sparse"), columns(data, "dense")
    assert sparse == {
        "user": [0, 0, 1, 1, 1],
        "item": [0, 2, 0, 2, 1],
        "age group": [0, 0, 1, 1, 1],
        "gender": [1, 1, 0, 0, 0],
        "occupation": [1, 1, 0, 0, 0],
        "region": [1, 1, 0, 0, 0],
        "decade": [1, 0, 1, 0, 0],
    }
    assert dense["age"] == [17, 17, 56, 56, 56] and dense["year"] == [1995, 1959, 1995, 1959, 1959]
    assert dense["hour"][2:] == [0, 1, 1] and dense["weekday"][2:] == [3, 3, 3]
    assert pd.Timestamp(874965758, unit="s").hour == dense["hour"][0]
    assert pd.Timestamp(874965758, unit="s").weekday() == dense["weekday"][0]
    assert dense["comedy"] == [1, 0, 1, 0, 0] and dense["western"] == [0, 1, 0, 1, 0]
    assert dense["unknown"] == [0] * 5


def test_movielens_with_the_guides_mistake_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    """Of its two users one has the only test sample, of the film that no training sample is of."""
    right, wrong = (prepare(data, films(tmp_path / "d"), split="time") for data in (movielens, movielens_per_split))

    assert columns(wrong, "sparse") == columns(right, "sparse") | {
        "user": [0, 0, 1, 1, 0],
        "item": [0, 1, 0, 1, 0],
        "age group": [0, 0, 1, 1, 0],
    }
    assert wrong.shape == (23, 2, 2, 2, 2, 2, 2, 2)
    assert wrong.test.groups is not None and wrong.test.groups.tolist() == [1]
    assert np.array_equal(wrong.test.samples["dense"], right.test.samples["dense"])
    assert wrong.notes[-1] == "a map of ids for each split: the ids do not agree"
    again = prepare(movielens, tmp_path / "d", split="time", ids="per_split")
    assert np.array_equal(again.train.samples, wrong.train.samples)


def test_movielens_features_do_not_know_the_stars(tmp_path: Path) -> None:
    one = prepare(movielens, films(tmp_path / "a"), split="time")
    swapped = FILMS["u.data"].replace("\t4\t", "\t1\t").replace("\t5\t", "\t2\t")
    other = prepare(movielens, films(tmp_path / "b", data=swapped), split="time")

    assert np.array_equal(one.train.samples, other.train.samples) and other.train.labels.sum() == 0


def small_films(folder: Path) -> Path:
    for name, content in miniature.movielens():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_movielens_splits_within_users(tmp_path: Path) -> None:
    small_films(tmp_path)
    by_time, random, again, other = (
        prepare(movielens, tmp_path, **options) for options in ({"split": "time"}, {}, {}, {"seed": 1})
    )
    for data in (by_time, random):
        assert data.train.groups is not None and data.test.groups is not None
        assert np.bincount(data.train.groups).tolist() == [20] * 30
        assert np.bincount(data.test.groups).tolist() == [5] * 30
    assert np.array_equal(random.test.samples, again.test.samples)
    assert not np.array_equal(random.test.samples, other.test.samples)


def test_movielens_by_time_tests_on_what_came_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_films(tmp_path)
    table = pd.read_csv(tmp_path / "ml-100k/u.data", sep="\t", names=list(movielens.RATINGS))
    test = movielens._test(table["user"].to_numpy(), table["time"].to_numpy(), seed=0)
    times = table.assign(test=test).groupby(["user", "test"])["time"].agg(["min", "max"]).unstack()
    assert (times["max"][False] <= times["min"][True]).all()


WRONG_FILMS = {
    "text for a rating": ({"data": "7\t1\tfour\t1\n"}, r"u\.data, row 1: rating must be a number, found 'four'"),
    "six stars": ({"data": "7\t1\t4\t1\n7\t2\t6\t1\n"}, r"u\.data, row 2: rating must be 1 to 5 stars, found '6'"),
    "half a star": ({"data": "7\t1\t3.5\t1\n"}, r"u\.data, row 1: rating must be a whole number, found '3.5'"),
    "another user": ({"data": "8\t1\t3\t1\n"}, r"u\.data, row 1: user must be listed in u\.user, found 8"),
    "another film": ({"data": "7\t4\t3\t1\n"}, r"u\.data, row 1: item must be listed in u\.item, found 4"),
    "a column less": ({"data": "7\t1\t3\n"}, r"u\.data, row 1: time must be a number, found ''"),
    "a column more": ({"data": "7\t1\t3\t1\t1\n"}, r"u\.data: its rows have more columns than there are names"),
    "a longer row": ({"data": "7\t1\t3\t1\n7\t1\t3\t1\t1\n"}, r"u\.data cannot be read .*Expected 4 .* line 2, saw 5"),
    "no rows": ({"data": ""}, r"u\.data has no rows|u\.data cannot be read"),
    "a user twice": ({"user": FILMS["u.user"] * 2}, r"u\.user, row 3: user must be listed once"),
    "a short user": ({"user": "7|17|M|writer\n"}, r"u\.user, row 1: zip must be given, found ''"),
    "no age": ({"user": "7||M|writer|1\n"}, r"u\.user, row 1: age must be a number, found ''"),
    "a genre that is 2": ({"item": FILMS["u.item"].replace("|1|", "|2|")}, r"u\.item, row 1: comedy must be 0 or 1"),
    "a date that is none": ({"item": FILMS["u.item"].replace("1995", "soon")}, r"row 1: released must be a number"),
}


@pytest.mark.parametrize("what", WRONG_FILMS)
def test_wrong_films(tmp_path: Path, what: str) -> None:
    changed, problem = WRONG_FILMS[what]
    with pytest.raises(UserError, match=problem):
        prepare(movielens, films(tmp_path / "d", **changed))


# Taobao.


@pytest.mark.usefixtures("raw_features", "nothing_drawn")
def test_taobao_by_hand(tmp_path: Path) -> None:
    """User 8 has no profile; the first impression was shown on 6 May 2017, 0:00 in Beijing."""
    data = prepare(taobao, ads(tmp_path / "d"))

    assert data.shape == (10, 3, 3, 2, 2, 3, 2, 1)
    assert data.train.labels.tolist() == [0, 1, 0, 0] and data.test.labels.tolist() == [1]
    assert data.train.groups is not None and data.train.groups.tolist() == [0, 1, 2, 0]
    assert columns(data, "sparse") == {
        "user": [0, 1, 2, 0, 0],
        "adgroup_id": [0, 1, 0, 2, 0],
        "cms_segid": [0, 1, 0, 0, 0],
        "cate_id": [0, 1, 0, 1, 0],
        "campaign_id": [0, 1, 0, 2, 0],
        "customer": [0, 0, 0, 1, 0],
        "brand": [0, 0, 0, 0, 0],
    }
    dense = columns(data, "dense")
    assert {name: dense[name] for name in taobao.LEVELS} == {
        "cms_group_id": [1, 2, 1, 1, 1],
        "final_gender_code": [2, 1, 2, 2, 2],
        "age_level": [3, 5, 3, 3, 3],
        "pvalue_level": [2, 2, 2, 2, 2],
        "shopping_level": [3, 1, 3, 3, 3],
        "occupation": [0, 1, 0, 0, 0],
        "new_user_class_level": [4, 4, 4, 4, 4],
    }
    assert dense["pid"] == [1, 0, 1, 0, 0] and dense["hour"] == [0, 1, 2, 2, 2]
    assert dense["price"] == pytest.approx([0, np.log(2.5), 0, np.log(100), 0])
    assert data.notes == (
        "3 users, 40.00 % clicks",
        "the first 5 impressions",
        "1 impressions of users without a profile",
        "one map of ids over both splits",
    )


def test_taobao_features_do_not_know_the_clicks(tmp_path: Path) -> None:
    one = prepare(taobao, ads(tmp_path / "a"))
    other = prepare(taobao, ads(tmp_path / "b", raw=RAW.replace(",0,1\n", ",1,0\n")))

    assert np.array_equal(one.train.samples, other.train.samples)
    assert (one.train.labels.sum() + one.test.labels.sum(), other.train.labels.sum()) == (2, 0)


def test_taobao_reads_the_first_rows_or_all(tmp_path: Path) -> None:
    miniature.taobao(tmp_path)
    for rows, expected in ((100, 100), (0, 2000), (200_000, 2000)):
        data = prepare(taobao, tmp_path, rows=rows)
        assert len(data.train.labels) + len(data.test.labels) == expected
        assert len(data.test.labels) == expected // 5


def test_taobao_the_guides_mistake_is_a_key(tmp_path: Path) -> None:
    """With a map for each split a row of the table of users is not one user; groups and labels stay as they are."""
    miniature.taobao(tmp_path, users=400, impressions=1000)
    joint, per_split = (prepare(taobao, tmp_path, ids=ids) for ids in ("joint", "per_split"))
    for data in (joint, per_split):
        assert data.train.groups is not None and data.test.groups is not None
    assert np.array_equal(joint.train.groups, joint.train.samples["sparse"][:, 0])
    assert np.array_equal(joint.test.groups, joint.test.samples["sparse"][:, 0])
    assert np.array_equal(per_split.test.groups, joint.test.groups)
    assert np.array_equal(per_split.test.labels, joint.test.labels)
    assert (per_split.test.samples["sparse"][:, 0] != joint.test.groups).mean() > 0.9
    assert per_split.shape is not None and joint.shape is not None and per_split.shape[1] < joint.shape[1] == 400


def test_taobao_from_joined_rows_as_the_docs_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices that are shifted have other logarithms; all else is as from the tables that were joined."""
    miniature.taobao(tmp_path / "tables")
    raw, users, ads = (pd.read_csv(tmp_path / "tables" / name, skipinitialspace=True) for name in taobao.FILES)
    users.columns = users.columns.str.strip()
    rows = raw.rename(columns={"user": "userid"}).merge(users, "left", "userid").merge(ads, "left", "adgroup_id")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.chdir(tmp_path)
    exec((REPOSITORY / "docs/data.md").read_text().split("```python\n")[1].split("```")[0], {})

    made, joined = prepare(taobao, tmp_path / "tables"), prepare(taobao, tmp_path)
    assert np.array_equal(made.train.samples["sparse"], joined.train.samples["sparse"])
    assert np.array_equal(made.test.labels, joined.test.labels) and made.shape == joined.shape
    assert made.fields is not None
    other = (made.train.samples["dense"] != joined.train.samples["dense"]).any(axis=0)
    assert [name for name, differs in zip(made.fields["dense"], other, strict=True) if differs] == ["price"]


def test_taobao_the_seed_decides_the_split(tmp_path: Path) -> None:
    miniature.taobao(tmp_path)
    one, again, other = (prepare(taobao, tmp_path, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.test.samples, again.test.samples)
    assert not np.array_equal(one.test.groups, other.test.groups)


WRONG_ADS: dict[str, tuple[str, Callable[[str], str], str]] = {
    "a column less": (
        "raw",
        lambda text: text.replace(",clk\n", ",click\n"),
        r"raw_sample\.csv: no column clk; expected user, .*, clk, found user, .*, nonclk, click\.",
    ),
    "text for a time": (
        "raw",
        lambda text: text.replace("1494003600", "noon"),
        r"raw_sample\.csv, row 3: time_stamp must be a number, found 'noon'",
    ),
    "no user": ("raw", lambda text: text.replace("\n6,", "\n,"), r"raw_sample\.csv, row 3: user .* found nothing"),
    "two clicks": ("raw", lambda text: text.replace(",0,1\n8", ",0,2\n8"), r"row 3: clk must be 0 or 1, found 2"),
    "another ad": (
        "raw",
        lambda text: text.replace(",71,", ",73,"),
        r"raw_sample\.csv, row 3: adgroup_id must be an ad group listed in ad_feature\.csv, found 73",
    ),
    "no place": ("raw", lambda text: text.replace("430539_1007,0,1\n8", ",0,1\n8"), "pid must be a place on the page"),
    "a user twice": (
        "profiles",
        lambda text: text.replace("\n99,", "\n5,"),
        r"user_profile\.csv, row 4: userid must be listed once, found 5",
    ),
    "half a level": (
        "profiles",
        lambda text: text.replace("\n6,20", "\n6,20.5"),
        r"user_profile\.csv, row 3: cms_segid must be a whole number, found 20\.5",
    ),
    "a price below zero": (
        "features",
        lambda text: text.replace("1.5", "-1.5"),
        r"ad_feature\.csv, row 3: price must be 0 or more, found -1\.5",
    ),
    "more columns": (
        "features",
        lambda text: text.replace("0\n71", "0,1\n71"),
        r"ad_feature\.csv: its rows have more columns",
    ),
}


@pytest.mark.parametrize("what", WRONG_ADS)
def test_wrong_ads(tmp_path: Path, what: str) -> None:
    part, change, problem = WRONG_ADS[what]
    texts = {"raw": RAW, "profiles": PROFILES, "features": ADS}
    assert change(texts[part]) != texts[part]
    with pytest.raises(UserError, match=problem):
        prepare(taobao, ads(tmp_path / "d", **{part: change(texts[part])}))


def test_one_impression_cannot_be_split(tmp_path: Path) -> None:
    miniature.taobao(tmp_path)
    with pytest.raises(UserError, match="1 impressions cannot be split into a training and a test set"):
        prepare(taobao, tmp_path, rows=1)
