"""Speech Commands v0.02, ten words, `unknown` (the other words) and `silence`: the twelve classes of Warden (2018)."""

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
FILES = (_speech.TESTING_LIST, _speech.BACKGROUND, *_speech.WORDS_V2)

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*KEYWORDS, "unknown", "silence")

TRANSFORM = SpectrogramTransform()


def prepare(source: Path | None, workers: Workers, *, split: str = "official") -> Prepared:
    """Read the clips of the ten words and a share of the rest.

    `unknown`: in each split as many clips of the 25 other words as a keyword has on average, as in Warden (2018), or
    all where there are fewer. `silence` (our decision): the background recordings cut into seconds that do not
    overlap, 399 in the official archive; the last fifth of each recording is test, its group is the recording.

    Args:
        source: The data set's folder or its parent.
        workers: Share the work on the clips, and are told clips done and clips in total.
        split: "official" or "speaker", see `_speech.all_words`.

    Raises:
        UserError: a file is missing or is not one second or so of 16 kHz mono; the file is named.
    """
    folder = locate(source, FOLDER, FILES)
    unknown, silence = CLASSES.index("unknown"), CLASSES.index("silence")
    labels = {word: KEYWORDS.index(word) if word in KEYWORDS else unknown for word in _speech.WORDS_V2}
    clips = _speech.word_clips(folder, labels, _speech.WORDS_V2, split)
    chosen = []
    for test in (False, True):
        words = [clip for clip in clips if clip.test == test and clip.label != unknown]
        others = [clip for clip in clips if clip.test == test and clip.label == unknown]
        chosen += words + _speech.subsample(others, _speech.mean_count(words))
    chosen += _speech.background_clips(folder, silence)
    return _speech.prepared(chosen, CLASSES, workers, (_speech.SPLIT_NOTES[split],))
