"""MNIST: 60,000 + 10,000 grey images of 28 x 28 of handwritten digits (LeCun, Cortes and Burges 1998)."""

from pathlib import Path

from flexifed.data.archives import Archive
from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.source import locate
from flexifed.data.transforms import ImageTransform
from flexifed.datasets import _idx

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


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Read the four files.

    Raises:
        UserError: a file is missing, cut short, not in the IDX format, or images and labels are not of one number.
    """
    folder = locate(source, FOLDER, FILES)
    train, test = _idx.read_splits(folder, ("train", "t10k"), len(CLASSES), workers)
    return Prepared(train, test, CLASSES)
