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
    """Read the clips of all 35 words.

    Args:
        source: The data set's folder or its parent.
        workers: Share the work on the clips, and are told clips done and clips in total.
        split: "official": `testing_list.txt` is the test split, all other clips train, those of `validation_list.txt`
            too. "speaker": a fixed fifth of the speakers is the test split, for copies without the training clips.

    Raises:
        UserError: a file is missing or is not 16 kHz mono; the file is named.
    """
    folder = locate(source, FOLDER, FILES)
    clips = _speech.word_clips(folder, {word: label for label, word in enumerate(CLASSES)}, CLASSES, split)
    return _speech.prepared(clips, CLASSES, workers, (_speech.SPLIT_NOTES[split],))
