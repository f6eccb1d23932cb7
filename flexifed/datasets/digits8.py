"""The handwritten digits of `digits` at their own size, 8 x 8: for the family `mlp`, in the first minutes of a visit.

The same images, split in the same way.
"""

from pathlib import Path

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.transforms import ImageTransform
from flexifed.datasets import digits

KIND = "image"

ARCHIVES = ()

FOLDER = ""
FILES = ()
ORIGIN = "bundled with scikit-learn"

CLASSES = digits.CLASSES

# Mean and standard deviation of the images. No crop: a shift by one pixel would be an eighth of the image.
TRANSFORM = ImageTransform(mean=(0.305,), std=(0.375,), crop_padding=0, flip=False)

SIZE = 8


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Read the 8 x 8 images as they are and draw a fifth of each class as the test set, always the same one."""
    return digits.prepare_at(SIZE, workers)
