"""A prepared data set on disk: arrays that training reads, labels that partitioning reads, and a card about them.

A folder holds, for each split, `{split}.npy` (the samples) and `{split}.parquet` (one row per sample: label, group),
and `card.json`, which is written last: where it stands, the rest is whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flexifed.system.errors import UserError
from flexifed.system.files import complete, digest, parquet, read_object, write_json

SPLITS = ("train", "test")
LABELS = pa.schema([("label", pa.int64()), ("group", pa.int32())])
CARD = {
    **dict.fromkeys(("dataset", "kind", "dtype"), str),
    **dict.fromkeys(("shape", "classes", "notes"), list),
    **dict.fromkeys(("n_train", "n_test"), int),
    **dict.fromkeys(("digests", "source", "options"), dict),
}
"""Keys of a card and the types of their values."""


@dataclass(frozen=True)
class Pool:
    """What a partitioner may know of a split.

    Attributes:
        labels: int64 [N], in 0..classes-1.
        groups: int32 [N], the speaker, writer or user of each sample; None where the data set has none.
    """

    labels: np.ndarray
    groups: np.ndarray | None


Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Assignment:
    """Which samples each client gets: one array of indices per client, in no particular order."""

    train: list[Indices]
    """Indices into the training split; no sample has two owners."""
    test: list[Indices]
    """Indices into the test split; no sample has two owners. Empty where no test shards were asked for."""


@dataclass(frozen=True)
class Split:
    """One split of a prepared data set.

    Attributes:
        samples: uint8 [N, C, H, W] images (0..255), float16 [N, 1, 32, 32] log-mel spectrograms (-80..0 dB, bands by
            frames), int16 [N, L] characters (code points; 0 is padding, 1 any character beyond 32,767), float32 [N, D]
            vectors, or a structured array [N] of named arrays: click data have `dense` float32 [D], numbers, and
            `sparse` int32 [S], a row for each of S embedding tables.
        labels: int64 [N], in 0..classes-1.
        groups: int32 [N], the speaker, writer or user of each sample; None where the data set has none.
    """

    samples: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None


@dataclass(frozen=True)
class Prepared:
    """What a data set's `prepare` returns.

    Attributes:
        train: The training split.
        test: The test split.
        classes: Names of the classes, by label.
        notes: Sentences for the card: what a reader of the results should know about this copy of the data.
        shape: What a model is built for; None: the shape of a sample. Of click data it is the number of dense features
            and the rows of each embedding table.
        fields: Of samples of named arrays, the names of each one's columns.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    fields: Mapping[str, tuple[str, ...]] | None = None


def write(
    folder: Path, prepared: Prepared, *, dataset: str, kind: str, source: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a prepared data set, the card last.

    Args:
        folder: Created if need be. An older card in it is removed first, so that it never describes newer arrays.
        prepared: The arrays.
        dataset: Registered name.
        kind: "image", "text", "vector" or "click".
        source: Where the data came from: `verified`, `how` and `files` (each with name, bytes, sha256).
        options: All options of the data set, defaults included.

    Returns:
        The card.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").unlink(missing_ok=True)
    for name in SPLITS:
        _write_split(folder, name, getattr(prepared, name))
    fields = {} if prepared.fields is None else {"fields": {key: list(names) for key, names in prepared.fields.items()}}
    card = {
        "dataset": dataset,
        "kind": kind,
        "shape": list(prepared.train.samples.shape[1:] if prepared.shape is None else prepared.shape),
        "dtype": str(prepared.train.samples.dtype),
        **fields,
        "classes": list(prepared.classes),
        "n_train": len(prepared.train.labels),
        "n_test": len(prepared.test.labels),
        "digests": {
            f"{name}.{suffix}": digest(folder / f"{name}.{suffix}") for name in SPLITS for suffix in ("npy", "parquet")
        },
        "source": dict(source),
        "options": dict(options),
        "notes": list(prepared.notes),
    }
    write_json(folder / "card.json", card)
    return card


def _write_split(folder: Path, name: str, split: Split) -> None:
    assert len(split.samples) == len(split.labels), f"{name}: {len(split.samples)} samples, {len(split.labels)} labels"
    with complete(folder / f"{name}.npy") as partial, partial.open("wb") as stream:
        np.save(stream, split.samples, allow_pickle=False)
    groups = pa.nulls(len(split.labels), pa.int32()) if split.groups is None else pa.array(split.groups, pa.int32())
    with complete(folder / f"{name}.parquet") as partial:
        pq.write_table(pa.table([pa.array(split.labels, pa.int64()), groups], schema=LABELS), partial)


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a prepared data set (see `write`).

    Raises:
        UserError: the folder holds no complete prepared data set, or the card is not one.
    """
    path = _there(Path(folder), "card.json")
    card = read_object(path)
    for key, kind in CARD.items():
        if not isinstance(card.get(key), kind):
            raise UserError(
                f"{path}: {key} must be a {kind.__name__}, found {card.get(key)!r}. Prepare the data set again."
            )
    return card


def read_labels(folder: Path, split: str) -> Pool:
    """Labels and groups of a split ("train" or "test"); the samples are not opened.

    Raises:
        UserError: the folder holds no complete prepared data set, or the file is not what the card says.
    """
    with parquet(_unchanged(Path(folder), f"{split}.parquet"), LABELS.names) as file:
        table = file.read().cast(LABELS)
    groups = table["group"]
    return Pool(
        labels=table["label"].to_numpy(),
        groups=None if groups.null_count == len(groups) else groups.to_numpy().astype(np.int32, copy=False),
    )


def read(folder: Path, split: str) -> Split:
    """A split ("train" or "test") with its samples memory-mapped, read-only.

    Raises:
        UserError: the folder holds no complete prepared data set, or a file is not what the card says.
    """
    pool = read_labels(folder, split)
    samples = np.load(_unchanged(Path(folder), f"{split}.npy"), mmap_mode="r", allow_pickle=False)
    return Split(samples, pool.labels, pool.groups)


def _unchanged(folder: Path, name: str) -> Path:
    """The path of an array, after its digest was held against the card's."""
    path, expected = _there(folder, name), read_card(folder)["digests"].get(name)
    if (found := digest(path)) != expected:
        raise UserError(
            f"{path} has changed since it was prepared: expected sha256 {expected}, found {found}. "
            "Prepare the data set again."
        )
    return path


def _there(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise UserError(f"{folder} holds no complete prepared data set: {name} is missing. Prepare the data set first.")
    return path
