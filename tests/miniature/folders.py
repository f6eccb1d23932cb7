"""Small folders in the layouts of data sets that exist only as a folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.miniature.archives import images

PER_CLASS = 40
SIZE = (40, 36)  # columns and rows, as no model reads them


def image_folders(*classes: str) -> Callable[[Path], None]:
    """A maker of PNG images in colour, in one folder for each class."""

    def make(folder: Path) -> None:
        labels = np.arange(PER_CLASS * len(classes)) % len(classes)
        for number, (label, image) in enumerate(zip(labels, images("folders", labels), strict=True)):
            path = folder / classes[label] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).resize(SIZE).save(path)

    return make


FOLDERS: dict[str, Callable[[Path], None]] = {}
"""Makers of a small folder, by data set."""
