"""Speech Commands v0.01, 30 words as 30 classes (Warden 2018); the paper's."""

from pathlib import Path

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.source import locate
from flexifed.data.transforms import SpectrogramTransform
from flexifed.datasets import _speech

KIND = "image"

ALLOWED = {"split": ("official", "speaker")}

ARCHIVES = (_speech.ARCHIVE_V1,)

FOLDER = "speech_commands_v0.01"
FILES = (_speech.TESTING_LIST, *_speech.WORDS_V1)

CLASSES = _speech.WORDS_V1

TRANSFORM = SpectrogramTransform()


def prepare(source: Path | None, workers: Workers, *, split: str = "official") -> Prepared:
    """Read the clips of all 30 words; arguments and errors as in `_speech.all_words`."""
    return _speech.all_words(locate(source, FOLDER, FILES), CLASSES, workers, split)
