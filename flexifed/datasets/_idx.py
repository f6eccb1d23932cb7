"""The IDX format of MNIST and its kin: bytes in a gzip file, behind a magic number and their dimensions."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from flexifed.data.parallel import Workers
from flexifed.data.samples import Split
from flexifed.system.errors import UserError

SIDE = 28
MAGIC = {1: 0x0801, 3: 0x0803}
"""First number of a file of bytes, by its dimensions."""


def read_splits(folder: Path, prefixes: tuple[str, str], classes: int, workers: Workers) -> tuple[Split, Split]:
    """Images uint8 [N, 1, 28, 28] with labels of the training and the test split, see `read_split`."""
    train, test = prefixes
    found = []
    for done, prefix in enumerate((train, test), start=1):
        images, labels = read_split(folder, prefix, classes)
        found.append(Split(images[:, None], labels, None))
        workers.progress(done, 2)
    return found[0], found[1]


def read_split(folder: Path, prefix: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, 28, 28] and labels int64 [N], from `{prefix}-images-idx3-ubyte.gz` and `-labels-idx1-ubyte.gz`.

    Raises:
        UserError: a file is cut short, not in the IDX format, or holds other images or labels; or they are not of one
            number.
    """
    images = read(folder / f"{prefix}-images-idx3-ubyte.gz", 3)
    path = folder / f"{prefix}-labels-idx1-ubyte.gz"
    labels = read(path, 1)
    if len(labels) != len(images):
        raise UserError(f"{path}: {len(labels):,} labels, and there are {len(images):,} images.")
    if images.shape[1:] != (SIDE, SIDE) or labels.max(initial=0) >= classes:
        raise UserError(
            f"{path}: expected labels 0 to {classes - 1} of images of {SIDE} x {SIDE}, found other images or labels."
        )
    return images, labels.astype(np.int64)


def read(path: Path, dimensions: int) -> np.ndarray:
    """The bytes of a compressed IDX file, uint8, in their shape: a magic number, the lengths, the values.

    Raises:
        UserError: the file is not there, cut short, or not in the IDX format.
    """
    try:
        with gzip.open(path) as stream:
            start = stream.read(4 * (1 + dimensions))
            header = np.frombuffer(start[: len(start) // 4 * 4], ">u4")
            if len(header) != 1 + dimensions or header[0] != MAGIC[dimensions]:
                raise UserError(f"{path}: not a file of {dimensions}-dimensional bytes in the IDX format.")
            shape = tuple(int(length) for length in header[1:])
            expected = int(np.prod(shape, dtype=np.int64))
            values = np.frombuffer(stream.read(min(expected, 1 << 30) + 1), np.uint8)
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise UserError(
            f"{path} is cut short or not a gzip file ({error}). Put the official file in its place."
        ) from error
    if len(values) != expected:
        raise UserError(f"{path}: its header says {expected:,} bytes, found {len(values):,} or more.")
    return values.reshape(shape)
