"""Small tables of clicks in the official layouts, with films and ads that are liked more or less; always the same."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from flexifed.datasets import movielens as films
from flexifed.settings.rng import stream

START = 1_494_000_000  # seconds: 5 May 2017, 16:00 UTC


def taobao(folder: Path, *, users: int = 30, ads: int = 20, impressions: int = 2000) -> None:
    """Taobao's three files, with their oddities: a blank in a header, NULL brands, gaps, users without a profile.

    Ad groups are clicked at rates between 2 and 60 %. Users are 1001, 1002, ... (the last one has no profile, where
    there are several), ad groups 501, 502, ...
    """
    rng = stream(0, "miniature", "taobao")
    folder.mkdir(parents=True, exist_ok=True)
    rates = rng.permutation(np.linspace(0.02, 0.6, ads))
    user = 1001 + np.append(np.arange(users), rng.integers(0, users, impressions))[:impressions]
    ad = rng.integers(0, ads, impressions)
    clk = (rng.random(impressions) < rates[ad]).astype(int)
    time = START + rng.integers(0, 8 * 86_400, impressions)
    pid = np.array(["430539_1007", "430548_1007"])[rng.integers(0, 2, impressions)]
    raw = {"user": user, "time_stamp": time, "adgroup_id": 501 + ad, "pid": pid, "nonclk": 1 - clk, "clk": clk}
    pd.DataFrame(raw).to_csv(folder / "raw_sample.csv", index=False)
    with_profile = max(users - 1, 1)
    levels = {
        "cms_segid": rng.integers(0, 97, with_profile),
        "cms_group_id": rng.integers(0, 13, with_profile),
        "final_gender_code": rng.integers(1, 3, with_profile),
        "age_level": rng.integers(0, 7, with_profile),
        "pvalue_level": _gaps(rng, rng.integers(1, 4, with_profile), 0.5),
        "shopping_level": rng.integers(1, 4, with_profile),
        "occupation": rng.integers(0, 2, with_profile),
        "new_user_class_level ": _gaps(rng, rng.integers(1, 5, with_profile), 0.3),
    }
    pd.DataFrame({"userid": 1001 + np.arange(with_profile)} | levels).to_csv(folder / "user_profile.csv", index=False)
    features = {
        "cate_id": rng.integers(1, 6, ads),
        "campaign_id": rng.permutation(ads) + 300,
        "customer": rng.integers(1, 9, ads),
        "brand": _gaps(rng, rng.integers(9000, 9006, ads), 0.3),
        "price": rng.lognormal(5, 1, ads).round(2),
    }
    ad_feature = pd.DataFrame({"adgroup_id": rng.permutation(ads) + 501} | features)
    ad_feature.to_csv(folder / "ad_feature.csv", index=False, na_rep="NULL")


def _gaps(rng: np.random.Generator, values: np.ndarray, share: float) -> pd.arrays.IntegerArray:
    """Whole numbers, some of which are missing."""
    return pd.arrays.IntegerArray(values, rng.random(len(values)) < share)


def movielens(*, users: int = 30, items: int = 40, per_user: int = 25) -> Iterator[tuple[str, bytes]]:
    """The files of MovieLens-100k that are read: films of one to five stars, more or less; one has no date."""
    rng = stream(0, "miniature", "movielens")
    stars = rng.permutation(np.linspace(1.5, 4.8, items))
    seen = np.concatenate([rng.permutation(items)[:per_user] for _ in range(users)])
    user = np.arange(users).repeat(per_user)
    rating = np.rint(stars[seen] + rng.normal(0, 0.4, len(seen))).clip(1, 5).astype(int)
    time = START - 10**9 + rng.integers(0, 10**7, len(seen))
    data = rng.permutation(np.column_stack([user + 1, seen + 1, rating, time]))
    work, home = ("writer", "student", "other"), ("T8H1N", "85711", "05201", "10003")
    people = [
        f"{number + 1}|{rng.integers(10, 70)}|{'MF'[rng.integers(2)]}|{work[rng.integers(3)]}|{home[rng.integers(4)]}"
        for number in range(users)
    ]
    flags = rng.random((items, len(films.GENRES))) < 0.15
    shelf = [
        f"{number + 1}|Film n\xb0 {number}|{'' if number == 3 else f'01-Jan-{1950 + number}'}||http://example.org/{number}|"
        + "|".join(str(int(flag)) for flag in row)
        for number, row in enumerate(flags)
    ]
    rows = ["\t".join(map(str, row)) for row in data.tolist()]
    for name, lines in (("u.data", rows), ("u.user", people), ("u.item", shelf)):
        yield f"{films.FOLDER}/{name}", ("\n".join(lines) + "\n").encode("latin-1")
