"""Preparation, and what it says about data that is not as it should be."""

import gzip
import hashlib
import json
import re
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from flexifed.data import samples
from flexifed.data.archives import unpacked
from flexifed.data.parallel import Workers
from flexifed.data.prepare import prepare
from flexifed.datasets import _speech, agnews, digits, femnist
from flexifed.settings import registry
from flexifed.study import single
from flexifed.system.errors import UserError
from tests.miniature import FOLDERS, make_archives, small_file_system
from tests.miniature.archives import TEST_IMAGES, idx


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    make_archives(folder)
    return folder


@pytest.fixture
def official(tmp_path: Path, folder: Path) -> Any:
    """Gives a folder with a data set in its official layout, for a test to spoil."""

    def unpack(dataset: str) -> Path:
        copy = tmp_path / dataset
        names = [archive.file for archive in registry.load("dataset", dataset).ARCHIVES]
        if dataset in ("agnews", "mnist"):
            copy.mkdir()
            for name in names:
                shutil.copy(folder / name, copy)
        else:
            with unpacked([folder / name for name in names], copy) as source:
                shutil.copytree(source, copy)
        return copy

    return unpack


def run(
    dataset: str,
    path: Path | None,
    out: Path,
    files: list[dict[str, str]] | None = None,
    threads: int | None = None,
    **options: Any,
) -> None:
    receipt = out.parent / "receipt.json"
    record = {"verified": False, "how": "local copy, not verified", "path": str(path), "files": files or []}
    receipt.write_text(json.dumps(record))
    prepare(dataset, receipt=receipt, options=options, out=out, threads=threads)


def refusal(dataset: str, path: Path, out: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        run(dataset, path, out, **options)
    assert not out.exists(), "nothing is written"
    assert not [p for p in out.parent.iterdir() if p.name.startswith(".")], "no folder of unpacked files is left"
    return str(error.value)


def wav(path: Path, rate: int = 16_000, channels: int = 1, n: int = 16_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * channels * n))
    return path


# What comes before the data sets' own readers.


def test_archive_that_changed_after_the_download(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"changed")
    entry = {"name": "a.tar.gz", "sha256": "0" * 64}
    assert "has changed since it was downloaded" in refusal("cifar10", tmp_path, tmp_path / "out", files=[entry])
    (tmp_path / "a.tar.gz").unlink()
    assert "was downloaded and is no longer there" in refusal("cifar10", tmp_path, tmp_path / "out", files=[entry])


def test_truncated_archive(tmp_path: Path, folder: Path) -> None:
    content = (folder / "cifar-10-binary.tar.gz").read_bytes()[:50_000]
    (tmp_path / "a.tar.gz").write_bytes(content)
    entry = {"name": "a.tar.gz", "sha256": hashlib.sha256(content).hexdigest()}
    message = refusal("cifar10", tmp_path, tmp_path / "out", files=[entry])
    assert f"{tmp_path}/a.tar.gz is truncated or not a tar.gz archive" in message


def test_archive_of_something_else(tmp_path: Path, folder: Path) -> None:
    shutil.copy(folder / "CINIC-10.tar.gz", tmp_path)
    digest = hashlib.sha256((tmp_path / "CINIC-10.tar.gz").read_bytes()).hexdigest()
    entry = {"name": "CINIC-10.tar.gz", "sha256": digest}
    assert "looked for data_batch_1.bin" in refusal("cifar10", tmp_path, tmp_path / "out", files=[entry])


def test_unknown_option(tmp_path: Path) -> None:
    assert "unknown option of dataset 'cinic10' 'trian'" in refusal("cinic10", tmp_path, tmp_path / "o", trian="train")


def test_preparing_again_changes_nothing(tmp_path: Path, official: Any) -> None:
    source = official("cifar10")
    for name in ("one", "two"):
        run("cifar10", source, tmp_path / name)
    assert samples.read_card(tmp_path / "one") == samples.read_card(tmp_path / "two")


@pytest.mark.parametrize("dataset", ["agnews", "speechcommands12"])
def test_number_of_threads_changes_nothing(
    dataset: str, tmp_path: Path, official: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agnews, "ROWS", 7)  # many chunks in a small file
    source = official(dataset)
    for threads in (1, 2, 5):
        run(dataset, source, tmp_path / str(threads), threads=threads)
    one, *others = (samples.read_card(tmp_path / str(threads)) for threads in (1, 2, 5))
    assert others == [one, one]


def test_no_space(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small") as small:
        (small / "receipt.json").write_text('{"verified": true, "how": "bundled", "path": null, "files": []}')
        with pytest.raises(
            UserError, match=r"no space left in .*/out: [0-9,]+ bytes are free, 1,840,128 bytes are needed"
        ):
            prepare("digits", receipt=small / "receipt.json", options={}, out=small / "out")
        assert not list((small / "out").iterdir())


# Data sets.


def test_cifar10_rows(tmp_path: Path, official: Any) -> None:
    source = official("cifar10")
    row = np.arange(3073, dtype=np.uint32).astype(np.uint8)
    row[0] = 7
    (source / "cifar-10-batches-bin/test_batch.bin").write_bytes(row.tobytes())
    run("cifar10", source, tmp_path / "out")
    test = samples.read(tmp_path / "out", "test")
    assert test.labels.tolist() == [7]
    assert test.samples[0, 0, 0, :3].tolist() == [1, 2, 3], "the red plane first, row by row"
    assert test.samples[0, 1, 0, 0] == (1 + 1024) % 256


def test_cifar10_cut_file(tmp_path: Path, official: Any) -> None:
    file = official("cifar10") / "cifar-10-batches-bin/data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-1])
    message = refusal("cifar10", tmp_path / "cifar10", tmp_path / "out")
    assert f"{file}: expected rows of 3,073 bytes" in message and "245,839 bytes" in message


def test_cifar10_label_out_of_range(tmp_path: Path, official: Any) -> None:
    file = official("cifar10") / "cifar-10-batches-bin/data_batch_2.bin"
    content = bytearray(file.read_bytes())
    content[4 * 3073] = 10
    file.write_bytes(content)
    assert f"{file}: row 5 has label 10" in refusal("cifar10", tmp_path / "cifar10", tmp_path / "out")


def test_cinic10_image_of_another_size(tmp_path: Path, official: Any) -> None:
    official("cinic10")
    file = tmp_path / "cinic10/test/ship/n01440772_8.png"
    Image.new("RGB", (32, 31)).save(file)
    message = refusal("cinic10", tmp_path / "cinic10", tmp_path / "out")
    assert message == f"{file}: expected 32 x 32 in mode RGB or L, found (32, 31) in mode RGB."
    Image.new("RGBA", (32, 32)).save(file)
    assert "in mode RGBA" in refusal("cinic10", tmp_path / "cinic10", tmp_path / "out")
    file.write_bytes(b"no image")
    assert f"{file} is not a readable image" in refusal("cinic10", tmp_path / "cinic10", tmp_path / "out")


def test_cinic10_training_split(tmp_path: Path, official: Any) -> None:
    source = official("cinic10")
    run("cinic10", source, tmp_path / "one")
    run("cinic10", source, tmp_path / "two", train="train+valid")
    assert [samples.read_card(tmp_path / name)["n_train"] for name in ("one", "two")] == [400, 480]
    assert "unknown train of dataset 'cinic10' 'valid'" in refusal("cinic10", source, tmp_path / "out", train="valid")


def test_cinic10_grey_images_have_three_equal_planes(tmp_path: Path, official: Any) -> None:
    run("cinic10", official("cinic10"), tmp_path / "out")
    images = samples.read(tmp_path / "out", "test").samples
    grey = (images == images[:, :1]).all((1, 2, 3))
    assert grey.sum() == 2


def test_emnist_stands_upright(tmp_path: Path, official: Any) -> None:
    """An L lies on its side in the archive: its foot, which is at the bottom, is the last column there."""
    letter = np.zeros((28, 28), np.uint8)
    letter[4:24, 8] = letter[23, 8:20] = 255
    assert letter[23].sum() == 12 * 255 and letter[:, 8].sum() == 20 * 255
    folder = official("emnist") / "gzip"
    label = femnist.CLASSES.index("L")
    for content, values in (("images-idx3", letter.T[None]), ("labels-idx1", np.array([label], np.uint8))):
        path = folder / f"emnist-byclass-test-{content}-ubyte.gz"
        path.write_bytes(gzip.compress(idx(values)))
    run("emnist", tmp_path / "emnist", tmp_path / "out")
    test = samples.read(tmp_path / "out", "test")
    assert np.array_equal(test.samples[0, 0], letter) and test.labels.tolist() == [label]


IDX_IMAGES = idx(np.zeros((2, 28, 28), np.uint8))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(IDX_IMAGES)[:-9], "cut short or not a gzip file"),
        (IDX_IMAGES, "cut short or not a gzip file"),
        (gzip.compress(IDX_IMAGES[:-1]), "its header says 1,568 bytes, found 1,567"),
        (gzip.compress(idx(np.zeros(2, np.uint8))), "not a file of 3-dimensional bytes in the IDX format"),
        (gzip.compress(IDX_IMAGES), "labels, and there are 2 images"),
        (gzip.compress(idx(np.zeros((TEST_IMAGES, 28, 27), np.uint8))), "expected labels 0 to 9 of images of 28 x 28"),
    ],
    ids=["cut", "not compressed", "a byte short", "of one dimension", "too few", "another size"],
)
def test_damaged_files_of_mnist(tmp_path: Path, official: Any, content: bytes, problem: str) -> None:
    (official("mnist") / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    message = refusal("mnist", tmp_path / "mnist", tmp_path / "out")
    assert str(tmp_path / "mnist/t10k-") in message and problem in message


def test_agnews_characters() -> None:
    row, long, empty = agnews.encode(["The \N{EURO SIGN}5 \N{PILE OF POO}", "ab" * 600, ""])
    assert row[:9].tolist() == [ord("t"), ord("h"), ord("e"), 32, 0x20AC, ord("5"), 32, agnews.OTHER, 0]
    assert row.shape == (1024,) and row.dtype == np.int16 and not row[8:].any()
    assert long[-2:].tolist() == [ord("a"), ord("b")] and not empty.any()


def test_agnews_joins_title_and_body(tmp_path: Path, official: Any) -> None:
    (official("agnews") / "test.csv").write_text('"4","A ""Title""","Body, text"\n')
    run("agnews", tmp_path / "agnews", tmp_path / "out")
    test = samples.read(tmp_path / "out", "test")
    text = "".join(map(chr, test.samples[0])).rstrip("\0")
    assert (text, test.labels.tolist()) == ('a "title" body, text', [3])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('"3","title only"', "expected class, title, description, found 2 columns"),
        ('"5","title","body"', "class must be one of 1, 2, 3, 4, found '5'"),
        ('"Sports","title","body"', "class must be one of 1, 2, 3, 4, found 'Sports'"),
    ],
)
def test_agnews_bad_row(tmp_path: Path, official: Any, row: str, problem: str) -> None:
    file = official("agnews") / "train.csv"
    lines = file.read_text().splitlines()
    lines[41] = row
    file.write_text("\n".join(lines))
    assert refusal("agnews", tmp_path / "agnews", tmp_path / "out") == f"{file}, row 42: {problem}."


def test_agnews_not_utf8(tmp_path: Path, official: Any) -> None:
    file = official("agnews") / "test.csv"
    file.write_bytes(b'"1","title","caf\xe9"\n')
    assert f"{file}, after row 0: not a CSV file in UTF-8" in refusal("agnews", tmp_path / "agnews", tmp_path / "out")


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"rate": 8000}, "expected 16,000 Hz, 1 channel, found 8,000 Hz, 1 channel(s)"),
        ({"channels": 2}, "expected 16,000 Hz, 1 channel, found 16,000 Hz, 2 channel(s)"),
        ({"n": 0}, "holds no samples"),
    ],
)
def test_speech_bad_recording(tmp_path: Path, official: Any, properties: dict[str, int], problem: str) -> None:
    official("speechcommands35")
    file = wav(tmp_path / "speechcommands35/backward/a0000000_nohash_0.wav", **properties)
    message = refusal("speechcommands35", tmp_path / "speechcommands35", tmp_path / "out")
    assert str(file) in message and problem in message


def test_speech_first_bad_recording_is_named(tmp_path: Path, official: Any) -> None:
    source = official("speechcommands")
    first, *_ = [wav(source / name / "a0000000_nohash_0.wav", n=0) for name in ("cat", "dog", "up", "zero")]
    assert refusal("speechcommands", source, tmp_path / "out", threads=4) == f"{first} holds no samples."


def test_speech_leaves_the_threads_of_torch_alone(tmp_path: Path, official: Any) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        run("speechcommands12", official("speechcommands12"), tmp_path / "out", threads=2)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_speech_unreadable_recording(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"a\.wav is not a readable wav file"):
        _speech.read_wav(tmp_path / "a.wav")


def test_speech_name_without_speaker(tmp_path: Path, official: Any) -> None:
    file = wav(official("speechcommands") / "zero/another.wav")
    assert f"{file}: expected a name of the form" in refusal(
        "speechcommands", tmp_path / "speechcommands", tmp_path / "out"
    )


def test_speech_other_version(tmp_path: Path, official: Any) -> None:
    message = refusal("speechcommands", official("speechcommands35"), tmp_path / "out")
    assert "another version of Speech Commands: it also holds the words backward, follow, forward" in message


def test_speech_copy_without_training_clips(tmp_path: Path, official: Any) -> None:
    source = official("speechcommands")
    clips = [p.relative_to(source) for p in source.glob("[a-z]*/*.wav")]
    (source / "testing_list.txt").write_text("\n".join(map(str, clips)))
    message = refusal("speechcommands", source, tmp_path / "out")
    assert "split 'official' leaves no training clips among 560" in message and "`split: speaker`" in message


def test_a_cell_of_its_own_prepares_again_where_the_local_copy_is_another(tmp_path: Path, official: Any) -> None:
    first, out = official("agnews"), tmp_path / "out"
    shutil.copytree(first, tmp_path / "second")
    train = tmp_path / "second" / "train.csv"
    train.write_bytes(b"".join(train.read_bytes().splitlines(keepends=True)[:-1]))

    def prepared(local: Path) -> int:
        source = single.Source(str(local), None, {}, str(tmp_path / "downloads"))
        single.prepare("agnews", source, tmp_path / "receipt.json", out)
        return len(samples.read_labels(out, "train").labels)

    n = prepared(first)
    assert prepared(tmp_path / "second") == n - 1
    shutil.rmtree(tmp_path / "second")
    assert prepared(tmp_path / "second") == n - 1, "what is prepared needs its source no longer"


def test_speech_splits(tmp_path: Path, official: Any) -> None:
    source = official("speechcommands")
    labels = {word: label for label, word in enumerate(_speech.WORDS_V1)}
    listed = set((source / "testing_list.txt").read_text().split())
    official_split = _speech.word_clips(source, labels, _speech.WORDS_V1, "official")
    assert {f"{c.path.parent.name}/{c.path.name}" for c in official_split if c.test} == listed
    by_speaker = _speech.word_clips(source, labels, _speech.WORDS_V1, "speaker")
    testing = {c.group for c in by_speaker if c.test}
    assert len(testing) == 2, "a fifth of eight speakers, rounded"
    assert not testing & {c.group for c in by_speaker if not c.test}
    with pytest.raises(
        UserError, match=r"unknown split of dataset .speechcommands. .random.\. .*Known: official, speaker"
    ):
        run("speechcommands", source, tmp_path / "out", split="random")


def test_speech_background_is_split_in_time(tmp_path: Path) -> None:
    (tmp_path / _speech.BACKGROUND).mkdir()
    wav(tmp_path / _speech.BACKGROUND / "hum.wav", n=10 * 16_000 + 5)
    clips = _speech.background_clips(tmp_path, 11)
    assert [clip.start for clip in clips] == [16_000 * second for second in range(10)]
    assert [clip.test for clip in clips] == [False] * 8 + [True] * 2
    assert {(clip.label, clip.group) for clip in clips} == {(11, "hum")}


def test_speech_twelve_classes(tmp_path: Path, official: Any) -> None:
    run("speechcommands12", official("speechcommands12"), tmp_path / "out")
    train, test = (samples.read_labels(tmp_path / "out", split).labels for split in samples.SPLITS)
    # 6 and 2 of 8 speakers, 5 clips of each keyword; as many unknown ones; 2 x 12 s of background, 2 x 2 s of it test.
    assert np.bincount(train).tolist() == [30] * 11 + [20]
    assert np.bincount(test).tolist() == [10] * 11 + [4]


def test_log_mel() -> None:
    import torch

    time = torch.arange(16_000) / 16_000
    tone = torch.sin(2 * torch.pi * 1000 * time)
    out = _speech.log_mel(torch.stack([tone, 0.01 * tone, torch.zeros(16_000)]))
    assert out.shape == (3, 32, 32)
    assert out[0].max() == 0 and out.min() >= -80.001
    assert torch.allclose(out[0], out[1], atol=1e-2), "loudness is divided out"
    assert (out[2] == out[2, 0, 0]).all() and out[2, 0, 0].item() == pytest.approx(-80)
    # 8000 Hz is 2840 mel, so 32 overlapping bands take 33 steps of 86 mel; 1000 Hz is 1000 mel, 11.6 steps.
    # Bands 10 and 11 (from 0) are centred at steps 11 and 12: the latter is nearer.
    assert out[0].mean(1).argmax().item() == 11


def test_digits_enlarged() -> None:
    corner = np.zeros((1, 8, 8))
    corner[0, 0, 0] = 16
    out = digits.enlarge(corner, 32)
    assert out.shape == (1, 1, 32, 32) and out.dtype == np.uint8
    # Centres of the first small pixels lie at 1.5 and 5.5 of the large ones: 255 up to the first, then 7/8, 5/8, ...
    assert out[0, 0, 0, :7].tolist() == [255, 255, 223, 159, 96, 32, 0]


def test_digits_at_their_own_size(tmp_path: Path) -> None:
    """As scikit-learn has them, in sixteenths of black; split as the enlarged ones are."""
    bundled = load_digits()
    workers = Workers(1, lambda *_: None)
    small, large = (registry.load("dataset", name).prepare(None, workers) for name in ("digits8", "digits"))
    for ours, theirs in ((small.train, large.train), (small.test, large.test)):
        assert np.array_equal(ours.labels, theirs.labels)
        assert ours.samples.shape == (len(theirs.samples), 1, 8, 8) and ours.samples.dtype == np.uint8
    images = np.concatenate([small.train.samples, small.test.samples])
    expected = np.rint(bundled.images * 255 / 16).astype(np.uint8)
    assert sorted(map(bytes, images)) == sorted(map(bytes, expected))


# LEAF's layout.


@pytest.fixture
def leaf(tmp_path: Path) -> Path:
    FOLDERS["femnist"](tmp_path / "femnist")
    return tmp_path / "femnist"


def altered(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A JSON file, changed."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


TRAIN_0 = "data/train/all_data_0_niid_1_keep_0_train_9.json"
TRAIN_1 = "data/train/all_data_1_niid_1_keep_0_train_9.json"


def test_femnist_images_and_writers(tmp_path: Path, leaf: Path) -> None:
    run("femnist", leaf, tmp_path / "out")
    train = samples.read(tmp_path / "out", "train")
    entry = json.loads((leaf / TRAIN_0).read_text())["user_data"]["f0001_41"]
    first = train.groups == 0
    assert np.array_equal(train.labels[first], entry["y"]), "the first writer by name, in LEAF's order"
    assert (train.samples[first].reshape(-1, 784) / 255).tolist() == entry["x"], "no number is lost"
    assert np.bincount(train.groups).tolist() == [124, 124, 124]
    assert samples.read_card(tmp_path / "out")["notes"] == ["3 writers, 3 of them in both splits"]


def test_femnist_every_byte_comes_back() -> None:
    row = [value / 255 for value in range(256)] + [1.0] * 528
    assert femnist.to_bytes("a", [row]).ravel()[:256].tolist() == list(range(256))


def test_femnist_does_not_depend_on_the_names_of_files(tmp_path: Path, leaf: Path) -> None:
    run("femnist", leaf, tmp_path / "one")
    (leaf / TRAIN_0).rename(leaf / "data/train/z.json")
    run("femnist", leaf, tmp_path / "two")
    assert samples.read_card(tmp_path / "one") == samples.read_card(tmp_path / "two")


def test_femnist_writers_of_one_split_are_kept(tmp_path: Path, leaf: Path) -> None:
    (leaf / TRAIN_0).unlink()
    run("femnist", leaf, tmp_path / "out")
    train, test = (samples.read(tmp_path / "out", split) for split in samples.SPLITS)
    assert (np.unique(train.groups).tolist(), np.unique(test.groups).tolist()) == ([1], [0, 1, 2])
    assert samples.read_card(tmp_path / "out")["notes"] == ["3 writers, 1 of them in both splits"]


WRITER = "f0003_31"
DAMAGED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no users": (lambda c: c.pop("users"), "expected 'users', a list"),
    "no images": (lambda c: c["user_data"][WRITER].pop("x"), f"writer '{WRITER}': expected 'x', a list, .* found 'y'"),
    "a writer of another name": (lambda c: c["users"].append("f9"), "`users` names 3 writers, `user_data` has 2"),
    "a writer without samples": (lambda c: c["user_data"].update({WRITER: 3}), "with `x` and `y`, found int"),
    "a pixel less": (lambda c: c["user_data"][WRITER]["x"][5].pop(), "sample 5: expected an image of 784 .* found 783"),
    "an image less": (lambda c: c["user_data"][WRITER]["x"].pop(), "123 images in `x`, 124 classes in `y`"),
    "another class": (lambda c: c["user_data"][WRITER]["y"].__setitem__(7, 62), "sample 7: .* 0 to 61, found 62"),
    "a class that is text": (lambda c: c["user_data"][WRITER]["y"].__setitem__(7, "1"), "sample 7: .* found '1'"),
    "a grey between two": (
        lambda c: c["user_data"][WRITER]["x"][3].__setitem__(9, 0.5),
        "sample 3: expected bytes divided by 255, .* found 0.5 at place 9",
    ),
    "text as a pixel": (lambda c: c["user_data"][WRITER]["x"][3].__setitem__(9, "a"), "that is not a number"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_femnist_damaged(tmp_path: Path, leaf: Path, what: str) -> None:
    change, problem = DAMAGED[what]
    file = altered(leaf / TRAIN_0, change)
    assert re.search(f"^{re.escape(str(file))}.*{problem}", refusal("femnist", leaf, tmp_path / "out"))


def test_femnist_cut_file(tmp_path: Path, leaf: Path) -> None:
    (leaf / TRAIN_0).write_bytes((leaf / TRAIN_0).read_bytes()[:-9])
    assert f"{leaf / TRAIN_0} is not a JSON file" in refusal("femnist", leaf, tmp_path / "out")


def test_femnist_writer_in_two_files(tmp_path: Path, leaf: Path) -> None:
    shutil.copy(leaf / TRAIN_1, leaf / "data/train/copy.json")
    message = refusal("femnist", leaf, tmp_path / "out")
    assert f"{leaf / 'data/train/copy.json'}: writer 'f0002_17' is in " in message or "is in copy.json" in message


def test_femnist_no_files(tmp_path: Path, leaf: Path) -> None:
    shutil.rmtree(leaf / "data/test")
    (leaf / "data/test").mkdir()
    assert "found 0 files and no image" in refusal("femnist", leaf, tmp_path / "out")
