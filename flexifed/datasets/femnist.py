"""FEMNIST: handwritten digits and letters of many writers, grey, 28 x 28, in 62 classes (LEAF, Caldas et al., 2018).

LEAF makes it from NIST Special Database 19 (public domain; LEAF's code is BSD-2-Clause): there is no archive to
download. Follow https://github.com/TalwalkarLab/leaf, `data/femnist`, with
`./preprocess.sh -s niid --sf 1.0 -k 0 -t sample` (smaller with `--sf 0.05`), and name the folder as `local`.

Layout: `data/{train,test}/*.json`, each an object with `users` (writers) and `user_data`, which has for each writer
`x` (images of 784 numbers in 0..1, row by row, 1 is white paper) and `y` (classes).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.data.source import locate
from flexifed.data.transforms import ImageTransform
from flexifed.system.errors import UserError
from flexifed.system.files import read_object

KIND = "image"

ARCHIVES = ()  # LEAF makes it on the spot; a study names the folder

CLASSES = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

FOLDER = "femnist"
FILES = ("data/train", "data/test")

# Of 41,495 training images of 300 writers, on white paper. No augmentation, as in LEAF.
TRANSFORM = ImageTransform(mean=(0.9615,), std=(0.1642,), crop_padding=0, flip=False)

SIDE = 28
NEAR = 1e-3
"""How far a number may be from a whole number of 255ths; as LEAF writes them they are off by rounding errors alone."""

Images = tuple[np.ndarray, np.ndarray]
"""One writer's images, uint8 [n, 1, 28, 28], and their classes, int64 [n]."""


def prepare(source: Path | None, workers: Workers) -> Prepared:
    """Read LEAF's JSON files, one at a time; writers are sorted by name, and each one's images are in LEAF's order.

    LEAF divides bytes by 255 and prints all digits of the quotient, so `rint(255 * x)` gives the bytes back exactly;
    what is no such quotient is refused. Groups are writers, numbered by name over both splits. A writer that is in one
    split only (as LEAF's split by user has them) is kept there, and the card says how many are in both.

    Raises:
        UserError: a file is missing, damaged or not in LEAF's layout, or holds an image or a class that is none; the
            file, the writer and the sample are named. A writer is in two files of one split.
    """
    folder = locate(source, FOLDER, FILES)
    train, test = (_read(folder / "data" / split, workers) for split in ("train", "test"))
    numbers = {writer: number for number, writer in enumerate(sorted({*train, *test}))}
    return Prepared(_split(train, numbers), _split(test, numbers), CLASSES, tuple(_notes(train, test)))


def _notes(train: Mapping[str, Images], test: Mapping[str, Images]) -> Iterator[str]:
    both, either = train.keys() & test.keys(), train.keys() | test.keys()
    yield f"{len(either):,} writers, {len(both):,} of them in both splits"


def _split(writers: Mapping[str, Images], numbers: Mapping[str, int]) -> Split:
    names = sorted(writers)
    images, labels = (np.concatenate([writers[name][part] for name in names]) for part in (0, 1))
    counts = [len(writers[name][1]) for name in names]
    return Split(images, labels, np.repeat(np.array([numbers[name] for name in names], np.int32), counts))


def _read(folder: Path, workers: Workers) -> dict[str, Images]:
    """The writers of a split who have images."""
    files = sorted(folder.glob("*.json"))
    found: dict[str, Images] = {}
    places: dict[str, Path] = {}
    for done, path in enumerate(files, start=1):
        for writer, images in _writers(path):
            if writer in places:
                raise UserError(
                    f"{path}: writer {writer!r} is in {places[writer].name} as well; remove one of the files."
                )
            places[writer] = path
            found[writer] = images
        workers.progress(done, len(files))
    found = {writer: images for writer, images in found.items() if len(images[1])}
    if not found:
        raise UserError(f"{folder}: expected LEAF's *.json files with images, found {len(files)} files and no image.")
    return found


def _writers(path: Path) -> Iterator[tuple[str, Images]]:
    """Each writer of a file, with the images."""
    content = read_object(path)
    users, data = _entry(path, content, "users", list), _entry(path, content, "user_data", dict)
    if sorted(map(str, users)) != sorted(data):
        raise UserError(f"{path}: `users` names {len(users)} writers, `user_data` has {len(data)}, and not the same.")
    for writer, entry in data.items():
        where = f"{path}, writer {writer!r}"
        if not isinstance(entry, dict):
            raise UserError(f"{where}: expected an object with `x` and `y`, found {type(entry).__name__}.")
        yield writer, _samples(where, _entry(where, entry, "x", list), _entry(where, entry, "y", list))


def _entry(where: Path | str, content: Mapping[str, Any], key: str, kind: type) -> Any:
    if not isinstance(content.get(key), kind):
        known = ", ".join(map(repr, content)) or "nothing"
        raise UserError(f"{where}: expected {key!r}, a {kind.__name__}, as LEAF writes it; found {known[:200]}.")
    return content[key]


def _samples(where: str, x: list[Any], y: list[Any]) -> Images:
    if len(x) != len(y):
        raise UserError(f"{where}: {len(x):,} images in `x`, {len(y):,} classes in `y`.")
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        if not isinstance(image, list) or len(image) != SIDE * SIDE:
            found = f"{len(image):,}" if isinstance(image, list) else type(image).__name__
            raise UserError(f"{where}, sample {number}: expected an image of {SIDE * SIDE} numbers, found {found}.")
        if type(label) is not int or not 0 <= label < len(CLASSES):
            raise UserError(
                f"{where}, sample {number}: expected a class from 0 to {len(CLASSES) - 1}, found {label!r}."
            )
    return to_bytes(where, x), np.array(y, np.int64)


def to_bytes(where: str, x: list[list[float]]) -> np.ndarray:
    """Images of 784 numbers, each a byte divided by 255, as uint8 [n, 1, 28, 28].

    Raises:
        UserError: a number is none, or is no byte divided by 255; the sample is named.
    """
    try:
        scaled = np.array(x, np.float64).reshape(len(x), SIDE * SIDE) * 255
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: `x` holds something that is not a number ({error}).") from error
    nearest = np.rint(scaled)
    exact = (np.abs(scaled - nearest) <= NEAR) & (nearest >= 0) & (nearest <= 255)
    if not exact.all():
        sample, place = np.argwhere(~exact)[0]
        raise UserError(
            f"{where}, sample {sample}: expected bytes divided by 255, as LEAF writes them, found {x[sample][place]!r} "
            f"at place {place}."
        )
    return nearest.astype(np.uint8).reshape(-1, 1, SIDE, SIDE)
