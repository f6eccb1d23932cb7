"""EMNIST ByClass: 697,932 + 116,323 grey images of 28 x 28 of handwritten digits and letters (Cohen et al. 2017).

The 62 classes are unbalanced, digits the most frequent. Both EMNIST and `femnist` are made of NIST Special Database 19;
this archive does not say who wrote an image, and `femnist` does. Its images lie on their side: rows and columns are
exchanged against MNIST's, and are exchanged back here.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from flexifed.data.archives import Archive
from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.source import locate
from flexifed.data.transforms import ImageTransform
from flexifed.datasets import _idx, femnist

KIND = "image"

ARCHIVES = (
    Archive(
        file="gzip.zip",
        urls=(
            "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
        ),
        md5="58c8d27c78d21e728a6bc7b3cc06412e",  # as torchvision has it
        licence="none stated with the archive; made of NIST Special Database 19, which is in the public domain",
    ),
)

FOLDER = "gzip"
FILES = tuple(
    f"emnist-byclass-{split}-{content}-ubyte.gz"
    for split in ("train", "test")
    for content in ("images-idx3", "labels-idx1")
)

CLASSES = femnist.CLASSES

# As others have measured ByClass, to three digits; not measured again. No augmentation: a mirrored letter is another.
TRANSFORM = ImageTransform(mean=(0.174,), std=(0.332,), crop_padding=0, flip=False)


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Read the four files of ByClass, and turn the images upright.

    Raises:
        UserError: a file is missing, cut short, not in the IDX format, or images and labels are not of one number.
    """
    folder = locate(source, FOLDER, FILES)
    lying = _idx.read_splits(folder, ("emnist-byclass-train", "emnist-byclass-test"), len(CLASSES), workers)
    train, test = (replace(one, samples=np.ascontiguousarray(one.samples.transpose(0, 1, 3, 2))) for one in lying)
    return Prepared(train, test, CLASSES)
