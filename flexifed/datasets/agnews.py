"""AG News: 120,000 + 7,600 news items in four classes, as characters (Zhang, Zhao and LeCun 2015)."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from flexifed.data.archives import Archive
from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.data.source import locate
from flexifed.data.transforms import TextTransform
from flexifed.system.errors import UserError

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

ROWS = 1000  # encoded at a time: 2 MB of characters


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Read the CSV files: title, blank and description, lower-cased, cut or padded at the end to 1,024 characters.

    Joining and lower-casing as in 2006wzt/FlexiFed-IMP and Yogurteer/FlexiFed-repeat-student.

    Raises:
        UserError: a file is missing or not UTF-8, a row has not three columns, or a class is not 1 to 4; file and row
            are named.
    """
    folder = locate(source, FOLDER, FILES)
    return Prepared(_read(folder / "train.csv", workers), _read(folder / "test.csv", workers), CLASSES)


def _read(path: Path, workers: Workers) -> Split:
    labels, texts = [], []
    for label, text in _rows(path):
        labels.append(label)
        texts.append(text)
    if not labels:
        raise UserError(f"{path} has no rows.")
    characters = np.empty((len(texts), LENGTH), np.int16)
    workers.fill(characters, texts, encode, size=ROWS)
    return Split(characters, np.array(labels, np.int64), None)


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    """Label (0 to 3) and text. One thread reads them all: where a row ends depends on the quotes before it."""
    known = {str(label + 1): label for label in range(len(CLASSES))}
    number = 0
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for number, row in enumerate(csv.reader(stream, strict=True), start=1):
                where = f"{path}, row {number}"
                if len(row) != 3:
                    raise UserError(f"{where}: expected class, title, description, found {len(row)} columns.")
                if row[0] not in known:
                    raise UserError(f"{where}: class must be one of {', '.join(known)}, found {row[0]!r}.")
                yield known[row[0]], f"{row[1]} {row[2]}"
        if number and not _ends_with_a_line(path):
            raise UserError(f"{path}, row {number}: the file ends within a line, so it was cut short.")
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}, after row {number}: not a CSV file in UTF-8 ({error}).") from error


def _ends_with_a_line(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def encode(texts: Sequence[str]) -> np.ndarray:
    """Lower-cased code points, int16 [n, 1024]; 0 pads at the end, 1 stands for code points beyond 32,767."""
    cut = [text.lower()[:LENGTH] for text in texts]
    lengths = np.array([len(text) for text in cut])
    points = np.frombuffer("".join(cut).encode("utf-32-le"), np.uint32)
    characters = np.zeros((len(cut), LENGTH), np.int16)
    characters[np.arange(LENGTH) < lengths[:, None]] = np.where(points > LARGEST, OTHER, points)
    return characters
