"""AG News: 120,000 + 7,600 news items in four classes, as characters (Zhang, Zhao and LeCun 2015)."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexifed.archives import Archive
from flexifed.bars import Progress
from flexifed.datasets._source import locate
from flexifed.errors import UserError
from flexifed.samples import Prepared, Split
from flexifed.transforms import TextTransform

KIND = "text"

_MIRROR = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
_LICENCE = "non-commercial research use"

ARCHIVES = (
    Archive(
        file="train.csv",
        urls=(f"{_MIRROR}/train.csv",),
        sha256="76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e",
        md5="b1a00f826fdfbd249f79597b59e1dc12",
        licence=_LICENCE,
    ),
    Archive(
        file="test.csv",
        urls=(f"{_MIRROR}/test.csv",),
        bytes=1_857_427,
        sha256="521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
        md5="d52ea96a97a2d943681189a97654912d",
        licence=_LICENCE,
    ),
)

FOLDER = "ag_news_csv"
FILES = ("train.csv", "test.csv")

CLASSES = ("World", "Sports", "Business", "Sci/Tech")

TRANSFORM = TextTransform()

LENGTH = 1024  # VDCNN reads all of it, CharCNN the first 1,014 (paper's model references)
OTHER = 1  # stands for the characters whose code points int16 cannot hold
LARGEST = np.iinfo(np.int16).max


def prepare(source: Path | None, progress: Progress) -> Prepared:
    """Read the CSV files: title, blank and description, lower-cased, cut or padded at the end to 1,024 characters.

    Joining and lower-casing as in 2006wzt/FlexiFed-IMP and Yogurteer/FlexiFed-repeat-student.

    Raises:
        UserError: a file is missing or not UTF-8, a row has not three columns, or a class is not 1 to 4; file and row
            are named.
    """
    folder = locate(source, FOLDER, FILES)
    return Prepared(_read(folder / "train.csv", progress), _read(folder / "test.csv", progress), CLASSES)


def _read(path: Path, progress: Progress) -> Split:
    size = path.stat().st_size
    labels, texts = [], []
    for label, text, position in _rows(path):
        labels.append(label)
        texts.append(encode(text))
        if len(labels) % 1000 == 0:
            progress(position, size)
    if not labels:
        raise UserError(f"{path} has no rows.")
    progress(size, size)
    return Split(np.stack(texts), np.array(labels, np.int64), None)


def _rows(path: Path) -> Iterator[tuple[int, str, int]]:
    """Label (0 to 3), text, and roughly how many bytes have been read."""
    known = {str(label + 1): label for label in range(len(CLASSES))}
    position = 0
    number = 0
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.reader(stream, strict=True), start=1):
                where = f"{path}, row {number}"
                if len(row) != 3:
                    raise UserError(f"{where}: expected class, title, description, found {len(row)} columns.")
                if row[0] not in known:
                    raise UserError(f"{where}: class must be one of {', '.join(known)}, found {row[0]!r}.")
                position += sum(map(len, row))
                yield known[row[0]], f"{row[1]} {row[2]}", position
        if number and path.read_bytes()[-1:] != b"\n":
            raise UserError(f"{path}, row {number}: the file ends within a line, so it was cut short.")
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}, after row {number}: not a CSV file in UTF-8 ({error}).") from error


def encode(text: str) -> np.ndarray:
    """Lower-cased code points, int16 [1024]; 0 pads at the end, 1 stands for code points beyond 32,767."""
    points = np.frombuffer(text.lower()[:LENGTH].encode("utf-32-le"), np.uint32)
    row = np.zeros(LENGTH, np.int16)
    row[: len(points)] = np.where(points > LARGEST, OTHER, points)
    return row
