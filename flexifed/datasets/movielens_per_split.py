"""MovieLens-100k with a mistake of FedScale's guide: each split has its own map from ids to rows of embedding tables.

A row is then another film in tests than in training, wherever an id is missing from one of the splits. Users are in
both, so theirs agree; so do labels, groups and dense features. `movielens` with `ids: per_split`, as a data set of its
own, so that one study can have both.
"""

from pathlib import Path

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.transforms import ClickTransform
from flexifed.datasets import movielens

KIND = "click"
TASK = "click_through"

ARCHIVES = movielens.ARCHIVES
FOLDER = movielens.FOLDER
FILES = movielens.FILES

CLASSES = movielens.CLASSES

TRANSFORM = ClickTransform()

ALLOWED = {"split": ("random", "time"), "seed": (0, None)}


def prepare(source: Path | None, workers: Workers, *, split: str = "random", seed: int = 0) -> Prepared:
    """Read it as `movielens.prepare` does, with `ids: per_split`; the options are its own."""
    return movielens.prepare(source, workers, split=split, ids="per_split", seed=seed)
