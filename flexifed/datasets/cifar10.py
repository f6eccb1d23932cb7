"""CIFAR-10, binary version: 50,000 + 10,000 colour images of 32 x 32 in ten classes (Krizhevsky 2009)."""

from pathlib import Path

import numpy as np

from flexifed.data.archives import Archive
from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.data.source import locate
from flexifed.data.transforms import ImageTransform
from flexifed.system.errors import UserError

KIND = "image"

ARCHIVES = (
    Archive(
        file="cifar-10-binary.tar.gz",
        urls=(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz",
        ),
        bytes=170_052_171,
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        licence="none stated; cite Krizhevsky 2009",
    ),
)

FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{batch}.bin" for batch in range(1, 6))
TEST_FILES = ("test_batch.bin",)
FILES = (*TRAIN_FILES, *TEST_FILES)

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Authors' code and reproductions.
TRANSFORM = ImageTransform(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010))

ROW = 1 + 3 * 32 * 32  # label, then the red, green and blue planes


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Read the binary batches.

    Raises:
        UserError: a file is missing, is not a whole number of rows, or holds a label beyond 9.
    """
    folder = locate(source, FOLDER, FILES)
    return Prepared(_read(folder, TRAIN_FILES, workers), _read(folder, TEST_FILES, workers), CLASSES)


def _read(folder: Path, files: tuple[str, ...], workers: Workers) -> Split:
    batches = []
    for done, file in enumerate(files, start=1):
        batches.append(_read_batch(folder / file))
        workers.progress(done, len(files))
    rows = np.concatenate(batches)
    return Split(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64), None)


def _read_batch(path: Path) -> np.ndarray:
    """uint8 [n, 3073]."""
    values = np.fromfile(path, np.uint8)
    if len(values) == 0 or len(values) % ROW:
        raise UserError(f"{path}: expected rows of {ROW:,} bytes (30,730,000 bytes), found {len(values):,} bytes.")
    rows = values.reshape(-1, ROW)
    wrong = np.flatnonzero(rows[:, 0] >= len(CLASSES))
    if len(wrong):
        raise UserError(f"{path}: row {wrong[0] + 1} has label {rows[wrong[0], 0]}, expected 0 to {len(CLASSES) - 1}.")
    return rows
