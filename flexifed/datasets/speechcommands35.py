"""Speech Commands v0.02, 35 words as 35 classes (Warden 2018)."""

from pathlib import Path

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared
from flexifed.data.source import locate
from flexifed.data.transforms import SpectrogramTransform
from flexifed.datasets import _speech

KIND = "image"

ALLOWED = {"split": ("official", "speaker")}

ARCHIVES = (_speech.ARCHIVE_V2,)

FOLDER = "speech_commands_v0.02"
FILES = (_speech.TESTING_LIST, *_speech.WORDS_V2)

CLASSES = _speech.WORDS_V2

TRANSFORM = SpectrogramTransform()


def prepare(source: Path | None, workers: Workers, *, split: str = "official") -> Prepared:
    """Read the clips of all 35 words; arguments and errors as in `_speech.all_words`."""
    return _speech.all_words(locate(source, FOLDER, FILES), CLASSES, workers, split)
