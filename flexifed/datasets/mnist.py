"""MNIST: 60,000 + 10,000 grey images of 28 x 28 of handwritten digits (LeCun, Cortes and Burges 1998)."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from flexifed.data.archives import Archive
from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.data.source import locate
from flexifed.data.transforms import ImageTransform
from flexifed.system.errors import UserError

KIND = "image"

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_PUBLISHED = {
    "train-images-idx3-ubyte.gz": (
        9_912_422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte.gz": (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "t10k-images-idx3-ubyte.gz": (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    "t10k-labels-idx1-ubyte.gz": (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
}

ARCHIVES = tuple(
    Archive(
        file=file,
        urls=tuple(f"{mirror}{file}" for mirror in _MIRRORS),
        bytes=size,
        sha256=sha256,
        licence="CC BY-SA 3.0",
    )
    for file, (size, sha256) in _PUBLISHED.items()
)

FOLDER = "MNIST/raw"  # where torchvision keeps it
FILES = tuple(_PUBLISHED)

CLASSES = tuple("0123456789")

# shaoxiongji/federated-learning, and nearly everybody since PyTorch's example. No augmentation.
TRANSFORM = ImageTransform(mean=(0.1307,), std=(0.3081,), crop_padding=0, flip=False)

SIDE = 28
MAGIC = {1: 0x0801, 3: 0x0803}
"""First number of a file of bytes, by its dimensions."""


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Read the four files.

    Raises:
        UserError: a file is missing, cut short, not in the IDX format, or images and labels are not of one number.
    """
    folder = locate(source, FOLDER, FILES)
    splits = []
    for done, prefix in enumerate(("train", "t10k"), start=1):
        images = _read(folder / f"{prefix}-images-idx3-ubyte.gz", 3)
        path = folder / f"{prefix}-labels-idx1-ubyte.gz"
        labels = _read(path, 1)
        if len(labels) != len(images):
            raise UserError(f"{path}: {len(labels):,} labels, and there are {len(images):,} images.")
        if images.shape[1:] != (SIDE, SIDE) or labels.max(initial=0) >= len(CLASSES):
            raise UserError(f"{path}: expected digits 0 to 9 of {SIDE} x {SIDE}, found other images or labels.")
        splits.append(Split(images[:, None], labels.astype(np.int64), None))
        workers.progress(done, 2)
    train, test = splits
    return Prepared(train, test, CLASSES)


def _read(path: Path, dimensions: int) -> np.ndarray:
    """The bytes of a compressed IDX file, uint8, in their shape: a magic number, the lengths, the values."""
    try:
        with gzip.open(path) as stream:
            header = np.frombuffer(stream.read(4 * (1 + dimensions)), ">u4")
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
