"""Makers of the miniature archives: 400 training and 200 test samples or so, the same bytes on every run."""

import csv
import gzip
import io
import tarfile
import wave
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from flexifed.data.archives import Archive
from flexifed.datasets import _idx, _speech, agnews, cifar10, cinic10, emnist, mnist
from flexifed.settings.rng import stream
from flexifed.system.files import digest
from tests.miniature.clicks import movielens

CLASSES = 10
PER_BATCH = 80  # five batches: 400 training images
TEST_IMAGES = 200
TRAIN_ROWS, TEST_ROWS = 400, 200
SPEAKERS = tuple(f"{0xA0000000 + 7919 * number:08x}" for number in range(8))
TEST_SPEAKERS = SPEAKERS[:2]
TAKES = {True: 5, False: 1}  # clips of each speaker: of a keyword, of another word


def make_archives(folder: Path) -> dict[str, list[Archive]]:
    """Write the archives into a folder.

    Returns:
        The archives of each data set, with their sizes and digests, and no addresses yet (see `served`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_tar(folder / "cifar-10-binary.tar.gz", _cifar10())
    _write_tar(folder / "CINIC-10.tar.gz", _cinic10())
    _write_tar(folder / "speech_commands_v0.01.tar.gz", _speech_commands(_speech.WORDS_V1))
    _write_tar(folder / "speech_commands_v0.02.tar.gz", _speech_commands(_speech.WORDS_V2))
    _write_zip(folder / "ml-100k.zip", movielens())
    for name, rows in (("train", TRAIN_ROWS), ("test", TEST_ROWS)):
        (folder / f"{name}.csv").write_text(_ag_news(name, rows), newline="")
    for file, values in _mnist():
        (folder / file).write_bytes(gzip.compress(values, mtime=0))
    _write_zip(folder / "gzip.zip", _emnist())
    files = {
        "emnist": ("gzip.zip",),
        "mnist": tuple(archive.file for archive in mnist.ARCHIVES),
        "cifar10": ("cifar-10-binary.tar.gz",),
        "cinic10": ("CINIC-10.tar.gz",),
        "agnews": ("train.csv", "test.csv"),
        "movielens": ("ml-100k.zip",),
        "movielens_per_split": ("ml-100k.zip",),
        "speechcommands": ("speech_commands_v0.01.tar.gz",),
        "speechcommands35": ("speech_commands_v0.02.tar.gz",),
        "speechcommands12": ("speech_commands_v0.02.tar.gz",),
    }
    return {dataset: [_describe(folder / name) for name in names] for dataset, names in files.items()}


def _describe(path: Path) -> Archive:
    return Archive(path.name, urls=(), bytes=path.stat().st_size, sha256=digest(path))


def served(archives: Iterable[Archive], base_url: str) -> list[Archive]:
    """The archives with their addresses on a server of the folder; a fault of the server may end the base URL."""
    return [replace(archive, urls=(f"{base_url}/{archive.file}",)) for archive in archives]


def overlay(archives: Mapping[str, Iterable[Archive]], base_url: str) -> dict[str, object]:
    """Settings of a study that take each data set from a server of the folder."""
    keys = ("file", "urls", "bytes", "sha256")
    entries = {
        dataset: [{key: getattr(archive, key) for key in keys} for archive in served(listed, base_url)]
        for dataset, listed in archives.items()
    }
    for listed in entries.values():
        for entry in listed:
            entry["urls"] = list(entry["urls"])
    return {"datasets": {dataset: {"archives": listed} for dataset, listed in entries.items()}}


def _mnist() -> Iterator[tuple[str, bytes]]:
    """The files of MNIST with 400 and 200 images."""
    generator = stream(0, "mnist")
    for prefix, n in (("train", CLASSES * 40), ("t10k", TEST_IMAGES)):
        labels = generator.permutation(np.arange(n, dtype=np.uint8) % CLASSES)
        images = generator.integers(0, 100, (n, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):  # a bright bar, further down with each class
            image[2 * label + 4 : 2 * label + 7, 4:24] += 150
        yield f"{prefix}-images-idx3-ubyte.gz", idx(images)
        yield f"{prefix}-labels-idx1-ubyte.gz", idx(labels)


def _emnist() -> Iterator[tuple[str, bytes]]:
    """The files of ByClass in the archive's folder, with six training and three test images of each class."""
    generator, classes = stream(0, "miniature", "emnist"), len(emnist.CLASSES)
    patterns = generator.integers(0, 200, (classes, 7, 7)).repeat(4, axis=1).repeat(4, axis=2)
    for split, times in (("train", 6), ("test", 3)):
        labels = generator.permutation(np.repeat(np.arange(classes, dtype=np.uint8), times))
        images = (patterns[labels] + generator.integers(0, 50, (len(labels), 1, 1))).astype(np.uint8)
        for content, values in (("images-idx3", images), ("labels-idx1", labels)):
            yield f"{emnist.FOLDER}/emnist-byclass-{split}-{content}-ubyte.gz", gzip.compress(idx(values), mtime=0)
    yield f"{emnist.FOLDER}/emnist-byclass-mapping.txt", b"0 48\n"


def idx(values: np.ndarray) -> bytes:
    """Bytes of one or three dimensions in the IDX format."""
    return np.array([_idx.MAGIC[values.ndim], *values.shape], ">u4").tobytes() + values.tobytes()


def _write_tar(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    # Without times, so that the digest depends on the content alone.
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _write_zip(path: Path, files: Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files:
            packed.writestr(zipfile.ZipInfo(name), content)  # of 1980


def images(name: str, labels: np.ndarray) -> np.ndarray:
    """uint8 [N, 3, 32, 32]: a coarse pattern of colours for each class, and coarse noise, which packs well."""
    patterns = stream(0, "miniature", "patterns").uniform(40, 215, (CLASSES, 3, 4, 4))
    noise = stream(0, "miniature", name).normal(0, 20, (len(labels), 3, 8, 8))
    coarse = patterns[labels].repeat(2, axis=2).repeat(2, axis=3) + noise
    return coarse.clip(0, 255).astype(np.uint8).repeat(4, axis=2).repeat(4, axis=3)


def _cifar10() -> Iterable[tuple[str, bytes]]:
    for file in cifar10.FILES:
        labels = np.arange(TEST_IMAGES if file in cifar10.TEST_FILES else PER_BATCH) % CLASSES
        rows = np.concatenate([labels[:, None].astype(np.uint8), images(file, labels).reshape(len(labels), -1)], axis=1)
        yield f"{cifar10.FOLDER}/{file}", rows.tobytes()


def _cinic10() -> Iterable[tuple[str, bytes]]:
    for split, count in (("train", 5 * PER_BATCH), ("valid", PER_BATCH), ("test", TEST_IMAGES)):
        labels = np.arange(count) % CLASSES
        for number, (label, image) in enumerate(zip(labels, images(split, labels), strict=True)):
            picture = Image.fromarray(image.transpose(1, 2, 0))
            if number < 2:  # the official archive holds some grey images, too
                picture = picture.convert("L")
            content = io.BytesIO()
            picture.save(content, "png", compress_level=1)
            origin = f"cifar10-train-{number}" if number % 3 == 0 else f"n0{1_440_764 + label}_{number}"
            yield f"{split}/{cinic10.CLASSES[label]}/{origin}.png", content.getvalue()


def _ag_news(name: str, rows: int) -> str:
    own = (
        ("minister", "election", "troops", "embassy"),
        ("match", "coach", "league", "striker"),
        ("shares", "profit", "market", "merger"),
        ("software", "spacecraft", "browser", "chip"),
    )
    common = ("the", "of", "on", "after", "new", "says", "Monday", "week", "first", "for")
    rng = stream(0, "miniature", "news", name)
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for number in range(rows):
        label = number % len(agnews.CLASSES)
        words = rng.choice(own[label] + common, 30)
        writer.writerow([label + 1, " ".join(words[:6]).capitalize(), " ".join(words[6:]) + f', "item" {number}.'])
    return text.getvalue()


def _speech_commands(words: tuple[str, ...]) -> Iterable[tuple[str, bytes]]:
    keywords = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
    listed = []
    for number, word in enumerate(words):
        for voice, speaker in enumerate(SPEAKERS):
            for take in range(TAKES[word in keywords]):
                name = f"{word}/{speaker}_nohash_{take}.wav"
                if speaker in TEST_SPEAKERS:
                    listed.append(name)
                yield name, _wav(_spoken(number, voice, take))
    for name, shape in (("white_noise", 1), ("running_tap", 40)):
        rng = stream(0, "miniature", name)
        yield f"{_speech.BACKGROUND}/{name}.wav", _wav(np.tile(rng.normal(0, 0.1, 8000 // shape).repeat(shape), 25))
    yield _speech.TESTING_LIST, "".join(f"{name}\n" for name in listed).encode()
    yield "validation_list.txt", b""


def _spoken(word: int, voice: int, take: int) -> np.ndarray:
    """A second (or 0.9 s) of two tones that name the word; the voice sets the loudness, the take the start.

    The periods are whole numbers of samples, so that the clip packs well.
    """
    length = _speech.CLIP - 1600 * (take % 2)
    time = np.arange(length)
    first, second = 6 + 5 * (word % 6), 7 + 6 * (word // 6)
    period = np.where(time < length // 2, first, second)
    silence = time < 800 * (voice % 3)
    return np.where(silence, 0.0, (0.3 + 0.05 * voice) * np.sin(2 * np.pi * (time % period) / period))


def _wav(samples: np.ndarray) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_speech.RATE)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return content.getvalue()


def member(name: str, content: bytes = b"x", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive; attributes (`type`, `linkname` ...) are those of its header."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content
