"""CINIC-10: 3 x 90,000 colour images of 32 x 32 in ten classes, from CIFAR-10 and ImageNet (Darlow et al. 2018)."""

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
        file="CINIC-10.tar.gz",
        urls=(
            "https://datashare.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",
            "https://datashare.is.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz",
            "https://datashare.ed.ac.uk/server/api/core/bitstreams/e8e186cc-2688-48f1-aa5a-3fda1a43f8b6/content",
        ),
        bytes=687_544_992,
        md5="6ee4d0c996905fe93221de577967a372",
        licence="MIT for the selection; images under the terms of CIFAR-10 and ImageNet",
    ),
)

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

FOLDER = "CINIC-10"
FILES = tuple(f"{split}/{name}" for split in ("train", "valid", "test") for name in CLASSES)

# Authors' code.
TRANSFORM = ImageTransform(mean=(0.4789, 0.4723, 0.4305), std=(0.2421, 0.2383, 0.2587))

ALLOWED = {"train": ("train", "train+valid")}
TRAIN = {"train": ("train",), "train+valid": ("train", "valid")}


def prepare(source: Path | None, workers: Workers, *, train: str = "train") -> Prepared:
    """Read the PNG files in the order of split, class and name.

    Args:
        source: The data set's folder or its parent.
        workers: Told images done and images in total.
        train: Which folders make the training split: "train" (90,000 images, authors' code) or "train+valid" (180,000,
            2006wzt/FlexiFed-IMP).

    Raises:
        UserError: a file is missing, is not a readable image, or is not 32 x 32 in colour or grey; the file is named.
    """
    folder = locate(source, FOLDER, FILES)
    return Prepared(_read(folder, TRAIN[train], workers), _read(folder, ("test",), workers), CLASSES)


def _read(folder: Path, parts: tuple[str, ...], workers: Workers) -> Split:
    files = [
        (path, label)
        for part in parts
        for label, name in enumerate(CLASSES)
        for path in sorted((folder / part / name).glob("*.png"))
    ]
    if not files:
        raise UserError(f"{folder}: no *.png files under {', '.join(parts)}.")
    images = np.empty((len(files), 3, 32, 32), np.uint8)
    for row, (path, _) in enumerate(files):
        images[row] = _image(path)
        if row % 1000 == 999:
            workers.progress(row + 1, len(files))
    workers.progress(len(files), len(files))
    return Split(images, np.array([label for _, label in files], np.int64), None)


def _image(path: Path) -> np.ndarray:
    """uint8 [3, 32, 32]; some images are grey and become colour images with three equal planes."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.size != (32, 32) or image.mode not in ("RGB", "L"):
                raise UserError(f"{path}: expected 32 x 32 in mode RGB or L, found {image.size} in mode {image.mode}.")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    except UserError:
        raise
    except Exception as error:  # Pillow lets through whatever its decoders stumble over
        raise UserError(f"{path} is not a readable image ({error}).") from error
