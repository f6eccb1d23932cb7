"""What every data set must keep: downloaded over HTTP, prepared, and compared with its card."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flexifed.data import samples
from flexifed.data.archives import Archive
from flexifed.data.download import download
from flexifed.data.prepare import prepare
from flexifed.data.samples import Split
from flexifed.data.source import is_bundled
from flexifed.settings import registry
from flexifed.settings.rng import stream
from flexifed.system.files import digest
from tests.miniature import FOLDERS, make_archives, serve, served

DTYPES = {"image": ("uint8", "float16"), "text": ("int16",), "vector": ("float32",)}
"""By kind: pixels or decibels, characters, and numbers. Samples of click data are named arrays."""
CLICK = tuple(name for name in registry.names("dataset") if registry.constant("dataset", name, "KIND") == "click")
PLAIN = tuple(name for name in registry.names("dataset") if name not in CLICK)
SIDES = {"digits8": 8, "emnist": 28, "femnist": 28, "mnist": 28}  # all others: 32, which every family of images reads
LARGEST = {"femnist": 6, "synthetic": 10}  # model input: ink on white paper is far from the mean; for all others 3


@dataclass(frozen=True)
class Miniature:
    """A data set, prepared from its miniature archives."""

    name: str
    folder: Path
    card: dict[str, Any]
    train: Split
    test: Split


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Archive]]]:
    folder = tmp_path_factory.mktemp("archives")
    made = make_archives(folder)
    with serve(folder) as base:
        yield {dataset: served(listed, base) for dataset, listed in made.items()}


@pytest.mark.parametrize("name", registry.names("dataset"))
def test_every_data_set_has_a_miniature(name: str, archives: dict[str, list[Archive]]) -> None:
    """Without one the tests below are skipped: they would download the real archives."""
    assert name in archives or name in FOLDERS or is_bundled(registry.load("dataset", name)), (
        f"write small archives of {name!r} in make_archives of tests/miniature/archives.py, or where it has none, "
        "a small folder in FOLDERS of tests/miniature/folders.py"
    )


@pytest.fixture(scope="module", params=registry.names("dataset"))
def data(
    request: pytest.FixtureRequest, archives: dict[str, list[Archive]], tmp_path_factory: pytest.TempPathFactory
) -> Miniature:
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    receipt, local = folder / "receipt.json", folder / "local" if request.param in FOLDERS else None
    if local:
        FOLDERS[name](local)
    elif name not in archives and not is_bundled(registry.load("dataset", name)):
        pytest.skip(f"{name} has no miniature")
    download(name, local=local, archives=archives.get(name), downloads=folder / "downloads", receipt=receipt)
    prepare(name, receipt=receipt, options={}, out=folder / "data")
    assert not list(folder.glob(".*")), "unpacked files are removed"
    train, test = (samples.read(folder / "data", split) for split in samples.SPLITS)
    return Miniature(name, folder / "data", samples.read_card(folder / "data"), train, test)


def test_card_matches_the_arrays(data: Miniature) -> None:
    assert data.card["dataset"] == data.name
    assert data.card["kind"] == registry.constant("dataset", data.name, "KIND")
    assert (data.card["n_train"], data.card["n_test"]) == (len(data.train.samples), len(data.test.samples))
    assert data.card["source"]["verified"] is (data.name not in FOLDERS)
    assert data.card["options"] == registry.keywords("dataset", data.name)
    assert data.card["classes"] == list(registry.load("dataset", data.name).CLASSES)
    assert ("fields" in data.card) == (data.name in CLICK)
    for split in (data.train, data.test):
        assert data.name in CLICK or data.card["shape"] == list(split.samples.shape[1:])
        assert data.card["dtype"] == str(split.samples.dtype)
    assert data.name in CLICK or data.card["dtype"] in DTYPES[data.card["kind"]]
    for file, expected in data.card["digests"].items():
        assert digest(data.folder / file) == expected


@pytest.mark.parametrize("data", CLICK, indirect=True)
def test_click_data_fit_their_card(data: Miniature) -> None:
    """The card holds what a model is built for: dense features and rows of tables, all of which are there."""
    assert registry.task(data.name) == "click_through"
    dense, *tables = data.card["shape"]
    assert {name: len(columns) for name, columns in data.card["fields"].items()} == {
        "dense": dense,
        "sparse": len(tables),
    }
    for split in (data.train, data.test):
        assert split.samples.dtype == np.dtype([("dense", "<f4", (dense,)), ("sparse", "<i4", (len(tables),))])
    rows = np.concatenate([data.train.samples["sparse"], data.test.samples["sparse"]])
    assert [np.unique(column).tolist() for column in rows.T] == [list(range(size)) for size in tables]
    features = data.train.samples["dense"].astype(np.float64)
    assert np.isfinite(data.test.samples["dense"]).all() and np.abs(features.mean(0)).max() < 1e-5
    assert set(features.std(0).round(4)) <= {0.0, 1.0}, "standardised, or the same for all samples"
    assert set(data.test.groups) == set(data.train.groups) and len(set(data.train.groups)) == 30


@pytest.mark.parametrize("data", PLAIN, indirect=True)
def test_shape_fits_the_kind(data: Miniature) -> None:
    shape, side = data.card["shape"], SIDES.get(data.name, 32)
    expected = {"image": [shape[0], side, side], "text": [1024], "vector": [60]}
    assert shape == expected[data.card["kind"]]


def test_labels_are_in_range_and_all_there(data: Miniature) -> None:
    for split in (data.train, data.test):
        assert split.labels.dtype == np.int64
        assert np.array_equal(np.unique(split.labels), np.arange(len(data.card["classes"])))


def test_groups(data: Miniature) -> None:
    for split in (data.train, data.test):
        if split.groups is not None:
            assert split.groups.dtype == np.int32
            assert len(split.groups) == len(split.labels) and split.groups.min() >= 0
        assert split.groups is not None or not data.name.startswith(("femnist", "speech", "synthetic"))
        assert split.groups is not None or data.name not in CLICK


def test_values_are_in_range(data: Miniature) -> None:
    if data.card["dtype"] == "float16":
        assert data.train.samples.min() >= -80 and data.train.samples.max() == 0
        assert np.isfinite(data.train.samples).all()
    if data.card["dtype"] == "int16":
        assert data.train.samples.min() >= 0
        assert not any(chr(c).isupper() for c in np.unique(data.train.samples))


@pytest.mark.parametrize("data", PLAIN, indirect=True)
def test_labels_belong_to_the_samples(data: Miniature) -> None:
    """A classifier by class means is far above chance, so samples and labels are in the same order."""

    def features(split: Split) -> np.ndarray:
        if data.card["kind"] == "text":
            return np.stack([np.bincount(row.clip(0, 127), minlength=128)[1:] for row in split.samples])
        return split.samples.reshape(len(split.samples), -1).astype(np.float32)

    train, test = features(data.train), features(data.test)
    means = np.stack([train[data.train.labels == label].mean(0) for label in range(len(data.card["classes"]))])
    nearest = ((test[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (nearest == data.test.labels).mean() > 2 / len(data.card["classes"])


def rates(split: Split) -> np.ndarray:
    """The share of clicks of each film or ad, by its row."""
    rows = split.samples["sparse"][:, 1]
    return np.bincount(rows, split.labels) / np.maximum(np.bincount(rows), 1)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """How often a click has a higher score than no click; half where they are equal."""
    difference = scores[labels == 1][:, None] - scores[labels == 0]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


@pytest.mark.parametrize("data", CLICK, indirect=True)
def test_labels_belong_to_the_films_and_ads(data: Miniature) -> None:
    """What was clicked more often in training is clicked more often in tests."""
    assert auc(data.test.labels, rates(data.train)[data.test.samples["sparse"][:, 1]]) > 0.7


@pytest.mark.parametrize("data", CLICK, indirect=True)
def test_transform_of_named_arrays(data: Miniature) -> None:
    transform, some = registry.load("dataset", data.name).TRANSFORM, data.train.samples[:7]
    x = {name: torch.from_numpy(np.array(some[name])) for name in some.dtype.names}
    assert transform.draw(stream(3, "test"), 7) == {}
    for y in (transform.train(x, {}), transform.test(x)):
        assert list(y) == ["dense", "sparse"]
        assert y["dense"].dtype == torch.float32 and torch.equal(y["dense"], x["dense"])
        assert y["sparse"].dtype == torch.int64 and torch.equal(y["sparse"], x["sparse"].long())


@pytest.mark.parametrize("data", PLAIN, indirect=True)
def test_transform(data: Miniature) -> None:
    transform = registry.load("dataset", data.name).TRANSFORM
    x = torch.from_numpy(np.array(data.train.samples[:7]))
    draws, again = (transform.draw(stream(3, "test"), 7) for _ in range(2))
    for key, values in draws.items():
        assert values.shape == (7,) and values.dtype in (np.int64, np.float32, np.bool_)
        assert np.array_equal(values, again[key])
    inputs = (transform.train(x, {key: torch.from_numpy(v) for key, v in draws.items()}), transform.test(x))
    for y in inputs:
        assert y.shape == x.shape
        assert y.dtype == (torch.int64 if data.card["kind"] == "text" else torch.float32)
        largest = 33_000 if data.card["kind"] == "text" else LARGEST.get(data.name, 3)
        assert torch.isfinite(y).all() and y.abs().max() < largest


def test_what_has_no_files_says_how_it_comes(data: Miniature) -> None:
    module = registry.load("dataset", data.name)
    assert not is_bundled(module) or data.card["source"]["how"] == module.ORIGIN


def test_official_archives_are_pinned(data: Miniature) -> None:
    for archive in registry.load("dataset", data.name).ARCHIVES:
        assert archive.pinned and archive.urls and archive.licence
        assert all(url.startswith("http") for url in archive.urls)
