"""Small folders in the layouts of data sets that exist only as a folder."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from flexifed.datasets import femnist as femnist_data
from flexifed.settings.rng import stream
from tests.miniature.archives import images
from tests.miniature.clicks import taobao

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


WRITERS = ("f0003_31", "f0001_41", "f0002_17")
"""In no order, as in LEAF's files."""


def femnist(folder: Path) -> None:
    """LEAF's layout: each writer has two training images and a test image of each class, a file one or two writers."""
    generator = stream(0, "miniature", "femnist")
    classes = len(femnist_data.CLASSES)
    patterns = generator.integers(0, 200, (classes, 7, 7)).repeat(4, axis=1).repeat(4, axis=2).reshape(classes, -1)
    for split, times in (("train", 2), ("test", 1)):
        for number, writers in enumerate((WRITERS[:2], WRITERS[2:])):
            data = {}
            for writer in writers:
                labels = generator.permutation(np.repeat(np.arange(classes), times))
                pixels = patterns[labels] + generator.integers(0, 50, (len(labels), 1))
                data[writer] = {"x": (pixels / 255).tolist(), "y": labels.tolist()}
            path = folder / f"data/{split}/all_data_{number}_niid_1_keep_0_{split}_9.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            counts = [len(entry["y"]) for entry in data.values()]
            path.write_text(json.dumps({"users": list(writers), "num_samples": counts, "user_data": data}))


FOLDERS: dict[str, Callable[[Path], None]] = {"femnist": femnist, "taobao": taobao}
"""Makers of a small folder, by data set."""
