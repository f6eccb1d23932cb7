"""Handwritten digits that come with scikit-learn: 1,797 grey images in ten classes, for trying a study offline.

Enlarged to the 32 x 32 that all families of images read; `digits8` holds them at their own size.
"""

from pathlib import Path

import numpy as np

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.data.transforms import ImageTransform
from flexifed.settings.rng import stream

KIND = "image"

ARCHIVES = ()

FOLDER = ""
FILES = ()
ORIGIN = "bundled with scikit-learn"

CLASSES = tuple("0123456789")

# Mean and standard deviation of the enlarged images. No flip: a mirrored digit is not a digit.
TRANSFORM = ImageTransform(mean=(0.304,), std=(0.323,), crop_padding=2, flip=False)

SIZE = 32
TEST_FRACTION = 0.2


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Enlarge the 8 x 8 images to 32 x 32 and draw a fifth of each class as the test set, always the same one."""
    return prepare_at(SIZE, workers)


def prepare_at(size: int, workers: Workers) -> Prepared:
    """The data set with images of `size` x `size` pixels, 8 or more; the test set is the same at every size."""
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images = enlarge(bundled.images, size)
    labels = bundled.target.astype(np.int64)
    test = _stratified(labels)
    workers.progress(len(labels), len(labels))
    return Prepared(Split(images[~test], labels[~test], None), Split(images[test], labels[test], None), CLASSES)


def enlarge(images: np.ndarray, size: int) -> np.ndarray:
    """Bilinear enlargement of [N, 8, 8] values in 0..16 to uint8 [N, 1, size, size] in 0..255."""
    small = images.shape[-1]
    centres = (np.arange(size) + 0.5) * small / size - 0.5
    weights = np.stack([np.interp(centres, np.arange(small), unit) for unit in np.eye(small)], axis=1)
    enlarged: np.ndarray = weights @ images @ weights.T
    return np.rint(enlarged * 255 / 16).astype(np.uint8)[:, None]


def _stratified(labels: np.ndarray) -> np.ndarray:
    """Which samples are test samples, bool [N]."""
    rng = stream(0, "digits", "test")
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        test[members[: round(TEST_FRACTION * len(members))]] = True
    return test
