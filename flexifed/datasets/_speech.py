"""What the Speech Commands data sets share: clips, speakers, splits, and log-mel spectrograms (Warden 2018).

Layout: `{word}/{speaker}_nohash_{n}.wav`, `testing_list.txt`, `_background_noise_/*.wav`; 16 kHz, mono.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flexifed.data.archives import Archive
from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.system.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

RATE = 16_000  # samples per second
CLIP = RATE  # samples of a clip: one second

# Spectrogram as in 2006wzt/FlexiFed-IMP.
WINDOW = 2048
HOP = 512
BANDS = 32
FRAMES = CLIP // HOP + 1
RANGE = 80.0  # dB below a clip's loudest value that are kept

BATCH = 16  # clips transformed at a time: their spectra, 4 MB, stay in the cache; 500 take three times as long

TEST_SPEAKERS = 0.2  # share of the speakers in the test set under `split: speaker`
BACKGROUND = "_background_noise_"
TESTING_LIST = "testing_list.txt"

WORDS_V1 = (
    *("bed", "bird", "cat", "dog", "down", "eight", "five", "four", "go", "happy"),
    *("house", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven"),
    *("sheila", "six", "stop", "three", "tree", "two", "up", "wow", "yes", "zero"),
)
WORDS_V2 = tuple(sorted((*WORDS_V1, "backward", "follow", "forward", "learn", "visual")))


def _archive(version: str, sha256: str) -> Archive:
    file = f"speech_commands_{version}.tar.gz"
    urls = (
        f"https://storage.googleapis.com/download.tensorflow.org/data/{file}",
        f"http://download.tensorflow.org/data/{file}",
    )
    return Archive(file, urls, sha256=sha256, licence="CC BY 4.0")


ARCHIVE_V1 = _archive("v0.01", "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d")
ARCHIVE_V2 = _archive("v0.02", "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58")

SPLIT_NOTES = {
    "official": "split by the official testing_list.txt; the validation list is part of the training split",
    "speaker": "split by speaker: a fixed fifth of the speakers is the test split, not the official one",
}


@dataclass(frozen=True)
class Clip:
    """One second of a recording.

    Attributes:
        path: The recording.
        label: Class.
        group: Speaker, or the name of a background recording.
        test: Whether it belongs to the test split.
        start: First sample in the recording.
    """

    path: Path
    label: int
    group: str
    test: bool = False
    start: int = 0


def all_words(folder: Path, words: Sequence[str], workers: Workers, split: str) -> Prepared:
    """A whole data set in which every word is a class.

    Args:
        folder: The data set.
        words: Its words, in the order of their classes.
        workers: Share the work on the clips, and are told clips done and clips in total.
        split: "official": `testing_list.txt` is the test split, all other clips train, those of `validation_list.txt`
            too. "speaker": a fixed fifth of the speakers is the test split, for copies without the training clips.

    Raises:
        UserError: a file is missing or is not 16 kHz mono; the file is named.
    """
    clips = word_clips(folder, {word: label for label, word in enumerate(words)}, words, split)
    return prepared(clips, words, workers, (SPLIT_NOTES[split],))


def word_clips(folder: Path, labels: dict[str, int], known: Sequence[str], split: str) -> list[Clip]:
    """All clips of some words, in the order of their paths, split.

    Args:
        folder: The data set.
        labels: Class of each word that is wanted.
        known: All words that this version of the data set has.
        split: "official" or "speaker", see `all_words`.

    Raises:
        UserError: the folder holds words of another version, a file name names no speaker, or a split is empty.
    """
    others = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] not in "_." and p.name not in known)
    if others:
        raise UserError(
            f"{folder} is another version of Speech Commands: it also holds the words {', '.join(others)}. "
            "Version 0.01 is data set speechcommands, 0.02 speechcommands35 and speechcommands12."
        )
    clips = [
        Clip(path, label, _speaker(path))
        for word, label in labels.items()
        for path in sorted((folder / word).glob("*.wav"))
    ]
    clips = _SPLITS[split](folder, clips)
    for test, name in ((False, "training"), (True, "test")):
        if not any(clip.test == test for clip in clips):
            raise UserError(
                f"{folder}: split {split!r} leaves no {name} clips among {len(clips):,}. "
                "A copy without the training or the test clips needs `split: speaker`."
            )
    return clips


def _speaker(path: Path) -> str:
    speaker, found, _ = path.stem.partition("_nohash_")
    if not found:
        raise UserError(f"{path}: expected a name of the form <speaker>_nohash_<number>.wav.")
    return speaker


def _official(folder: Path, clips: list[Clip]) -> list[Clip]:
    try:
        listed = set((folder / TESTING_LIST).read_text().split())
    except UnicodeDecodeError as error:
        raise UserError(f"{folder / TESTING_LIST} is not a list of names ({error}).") from error
    return [replace(clip, test=f"{clip.path.parent.name}/{clip.path.name}" in listed) for clip in clips]


def _by_speaker(folder: Path, clips: list[Clip]) -> list[Clip]:
    """Ranked by digest, so that the choice depends on no generator and is the same on every machine."""
    speakers = sorted({clip.group for clip in clips}, key=lambda s: sha256(s.encode()).digest())
    testing = set(speakers[: max(1, round(TEST_SPEAKERS * len(speakers)))])
    return [replace(clip, test=clip.group in testing) for clip in clips]


_SPLITS = {"official": _official, "speaker": _by_speaker}


def subsample(clips: Iterable[Clip], n: int) -> list[Clip]:
    """At most `n` of the clips, the same ones on every machine, in their order."""
    clips = list(clips)
    ranked = sorted(clips, key=lambda clip: sha256(f"{clip.path.parent.name}/{clip.path.name}".encode()).digest())
    kept = set(ranked[:n])
    return [clip for clip in clips if clip in kept]


def background_clips(folder: Path, label: int) -> list[Clip]:
    """The background recordings cut into seconds that do not overlap; the last fifth of each recording tests."""
    clips = []
    for path in sorted((folder / BACKGROUND).glob("*.wav")):
        seconds = len(read_wav(path)) // CLIP
        training = seconds - max(1, round(TEST_SPEAKERS * seconds))
        clips += [Clip(path, label, path.stem, second >= training, second * CLIP) for second in range(seconds)]
    return clips


def read_wav(path: Path, start: int = 0, length: int = -1) -> np.ndarray:
    """Up to `length` samples of a recording (-1: all), from `start`, as float32 [n] in -1..1.

    Raises:
        UserError: the file is not a readable wav file, is empty or cut short, is not 16 kHz mono, or holds samples that
            are not numbers in -1..1.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(path, length, start, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} is not a readable wav file ({error}).") from error
    if rate != RATE or samples.shape[1] != 1:
        raise UserError(f"{path}: expected {RATE:,} Hz, 1 channel, found {rate:,} Hz, {samples.shape[1]} channel(s).")
    if len(samples) == 0:
        raise UserError(f"{path} holds no samples.")
    if not np.abs(samples).max() <= 1:
        raise UserError(f"{path} holds samples that are not numbers between -1 and 1.")
    _check_whole(path)
    wave: np.ndarray = samples[:, 0]
    return wave


def _check_whole(path: Path) -> None:
    """Refuse a file that is shorter than its header says: its missing end would be read as silence."""
    with path.open("rb") as stream:
        said = int.from_bytes(stream.read(8)[4:], "little") + 8
    if path.stat().st_size < said:
        raise UserError(f"{path} was cut short: expected {said:,} bytes, found {path.stat().st_size:,}.")


def prepared(clips: Sequence[Clip], classes: Sequence[str], workers: Workers, notes: Sequence[str] = ()) -> Prepared:
    """Both splits with their spectrograms; groups are numbered by sorted speaker."""
    groups = {name: number for number, name in enumerate(sorted({clip.group for clip in clips}))}
    spectrograms = np.empty((len(clips), 1, BANDS, FRAMES), np.float16)
    with _torch_on_one_thread():
        workers.fill(spectrograms, clips, _spectrograms, size=BATCH)
    labels = np.array([clip.label for clip in clips], np.int64)
    numbers = np.array([groups[clip.group] for clip in clips], np.int32)
    test = np.array([clip.test for clip in clips])
    splits = [Split(spectrograms[rows], labels[rows], numbers[rows]) for rows in (~test, test)]
    shared = {clip.group for clip in clips if clip.test} & {clip.group for clip in clips if not clip.test}
    counted = f"{len(groups)} speakers (a background recording counts as one), {len(shared)} of them in both splits"
    return Prepared(splits[0], splits[1], tuple(classes), (*notes, counted))


@contextmanager
def _torch_on_one_thread() -> Iterator[None]:
    """The workers share the cores already."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _spectrograms(clips: Sequence[Clip]) -> np.ndarray:
    """float16 [n, 1, 32, 32]."""
    import torch

    seconds = np.zeros((len(clips), CLIP), np.float32)
    for row, clip in zip(seconds, clips, strict=True):
        samples = read_wav(clip.path, clip.start, CLIP)
        row[: len(samples)] = samples
    return log_mel(torch.from_numpy(seconds))[:, None].numpy().astype(np.float16)


def log_mel(seconds: "Tensor") -> "Tensor":
    """Log-mel spectrograms, in dB relative to each one's maximum.

    Args:
        seconds: float32 [N, 16000].

    Returns:
        float32 [N, 32 bands, 32 frames] in -80..0; a silent clip is -80 throughout.
    """
    import torch

    power = _mel_spectrogram()(seconds)
    loudest = power.amax((1, 2), keepdim=True).clamp(min=torch.finfo(power.dtype).tiny)
    return 10 * torch.log10((power / loudest).clamp(min=10 ** (-RANGE / 10)))


@cache
def _mel_spectrogram() -> "Callable[[Tensor], Tensor]":
    from torchaudio.transforms import MelSpectrogram

    transform: Callable[[Tensor], Tensor] = MelSpectrogram(RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS)
    return transform


def mean_count(clips: Iterable[Clip]) -> int:
    """Mean number of clips of a class."""
    counts = Counter(clip.label for clip in clips)
    return round(sum(counts.values()) / len(counts))
