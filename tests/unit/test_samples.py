"""Prepared data sets on disk."""

import json
from pathlib import Path

import numpy as np
import pytest

from flexifed.data import samples
from flexifed.data.samples import Prepared, Split
from flexifed.system.errors import UserError
from flexifed.system.files import digest

SOURCE = {"verified": False, "how": "made up", "files": []}


def split(n: int, groups: np.ndarray | None) -> Split:
    images = np.arange(n * 3 * 32 * 32, dtype=np.uint32).astype(np.uint8).reshape(n, 3, 32, 32)
    return Split(images, np.arange(n) % 2, groups)


def write(folder: Path, groups: bool = True) -> dict[str, object]:
    train = split(5, np.array([0, 1, 1, 0, 2], np.int32) if groups else None)
    prepared = Prepared(train, split(3, np.array([2, 2, 3], np.int32) if groups else None), ("a", "b"), ("a note",))
    return samples.write(folder, prepared, dataset="made", kind="image", source=SOURCE, options={"x": 1})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "made")
    train = samples.read(tmp_path / "made", "train")
    assert isinstance(train.samples, np.memmap) and not train.samples.flags.writeable
    assert train.samples.dtype == np.uint8 and np.array_equal(train.samples, split(5, None).samples)
    assert train.labels.dtype == np.int64 and train.labels.tolist() == [0, 1, 0, 1, 0]
    assert train.groups is not None and train.groups.dtype == np.int32 and train.groups.tolist() == [0, 1, 1, 0, 2]
    assert len(samples.read(tmp_path / "made", "test").labels) == 3


def test_card(tmp_path: Path) -> None:
    card = write(tmp_path)
    assert card == samples.read_card(tmp_path)
    assert card == {
        "dataset": "made",
        "kind": "image",
        "shape": [3, 32, 32],
        "dtype": "uint8",
        "classes": ["a", "b"],
        "n_train": 5,
        "n_test": 3,
        "digests": {
            name: digest(tmp_path / name) for name in ("train.npy", "train.parquet", "test.npy", "test.parquet")
        },
        "source": SOURCE,
        "options": {"x": 1},
        "notes": ["a note"],
    }


def test_named_arrays(tmp_path: Path) -> None:
    """One file of rows, mapped as any other; the card holds what a model is built for, and the names of the columns."""
    rows = np.zeros(4, [("dense", "<f4", (2,)), ("sparse", "<i4", (1,))])
    rows["dense"], rows["sparse"][:, 0] = [0.5, 1.5], [0, 1, 2, 1]
    made = Split(rows, np.arange(4) % 2, np.zeros(4, np.int32))
    fields = {"dense": ("age", "price"), "sparse": ("user",)}
    prepared = Prepared(made, made, ("a", "b"), (), (2, 3), fields)
    card = samples.write(tmp_path, prepared, dataset="made", kind="click", source=SOURCE, options={})

    assert card["shape"] == [2, 3] and card["fields"] == {"dense": ["age", "price"], "sparse": ["user"]}
    assert card == samples.read_card(tmp_path)
    found = samples.read(tmp_path, "train").samples
    assert isinstance(found, np.memmap) and found.dtype == rows.dtype and np.array_equal(found, rows)
    assert np.array_equal(found["sparse"][[3, 1]], [[1], [1]])


def test_no_groups(tmp_path: Path) -> None:
    write(tmp_path, groups=False)
    assert samples.read(tmp_path, "train").groups is None
    assert samples.read_labels(tmp_path, "test").groups is None


def test_labels_are_read_without_the_samples(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train.npy").unlink()
    assert samples.read_labels(tmp_path, "train").labels.tolist() == [0, 1, 0, 1, 0]


def test_same_data_same_digests(tmp_path: Path) -> None:
    assert write(tmp_path / "one")["digests"] == write(tmp_path / "two")["digests"]


@pytest.mark.parametrize("missing", ["card.json", "train.parquet", "train.npy"])
def test_incomplete(tmp_path: Path, missing: str) -> None:
    write(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(UserError, match=f"{missing} is missing. Prepare the data set first"):
        samples.read_card(tmp_path) if missing == "card.json" else samples.read(tmp_path, "train")


def test_no_card_beside_half_written_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(UserError, match=r"no space left for .*train\.npy"):
        write(tmp_path)
    assert not (tmp_path / "card.json").exists(), "the old card may not stand beside new arrays"
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".partial")]


def test_card_is_json_that_people_can_read(tmp_path: Path) -> None:
    write(tmp_path)
    text = (tmp_path / "card.json").read_text()
    assert json.loads(text) and text.count("\n") > 10
