"""Fuzzed input: every parser gives a right answer or an error for people, never another exception or a wrong sample."""

import copy
import csv
import gzip
import io
import json
import random
import stat
import tarfile
import wave
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from flexifed.data import archives, partition, samples
from flexifed.data.archives import unpacked
from flexifed.data.partition import ClientSamples
from flexifed.data.prepare import prepare
from flexifed.datasets import _speech, agnews
from flexifed.models import build
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Protocol
from flexifed.settings.rng import torch_stream
from flexifed.sharing import plan, planning
from flexifed.sharing.layers import chain
from flexifed.study import config
from flexifed.study.single import Run, Source
from flexifed.system import files
from flexifed.system.errors import UserError
from tests.miniature import make_archives, member, movielens, taobao
from tests.unit.test_config import STUDY

Tally = Callable[..., None]
EXAMPLES = 40  # for each of the `count` times that a fault is to be made


def fuzzed(
    count: int, *strategies: st.SearchStrategy[Any], times: int = EXAMPLES
) -> Callable[[Callable[..., None]], None]:
    """Run a function on drawn examples, the same ones each time."""

    def run(check: Callable[..., None]) -> None:
        quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
        chosen = settings(
            max_examples=times * count, deadline=None, derandomize=True, database=None, suppress_health_check=quiet
        )
        chosen(given(*strategies)(check))()

    return run


@st.composite
def spoiled(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with bytes changed, removed, repeated or put in at a few places, or cut short."""
    spoilt = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(spoilt) - 1, 0)))
        what = draw(st.sampled_from(("change", "change", "remove", "repeat", "insert", "cut")))
        length = draw(st.integers(1, 40))
        if what == "change" and spoilt:
            spoilt[at] = draw(st.integers(0, 255))
        elif what == "remove":
            del spoilt[at : at + length]
        elif what == "repeat":
            spoilt[at:at] = spoilt[at : at + length]
        elif what == "insert":
            spoilt[at:at] = draw(st.binary(max_size=40))
        else:
            del spoilt[at:]
    return bytes(spoilt)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(("../../x", "vgg", "digits", "official", "nan", 1, 0, -1)),
    st.lists(st.integers(-2, 2), max_size=3),
    st.dictionaries(st.one_of(st.text(max_size=4), st.integers(0, 3)), st.integers(), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested mappings and lists."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in inside for place in places(entry, (*path, key)))]


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """Nested mappings and lists with something odd at one to three places."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(places(value)[1:] or [("x",)]))
        node = value
        for key in parents:
            node = node[key]
        what = draw(st.sampled_from(("replace", "replace", "remove", "add")))
        if what == "replace":
            node[last] = draw(ODD)
        elif what == "remove":
            del node[last]
        elif isinstance(node, dict):
            node[draw(st.text(max_size=6))] = draw(ODD)
        else:
            node.append(draw(ODD))
    return value


# Archives


def tar(*members: tuple[tarfile.TarInfo, bytes], style: int = tarfile.PAX_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=style) as file:
        for info, content in members:
            file.addfile(info, io.BytesIO(content) if info.isreg() else None)
    return raw.getvalue()


def unpack(content: bytes, folder: Path, *, compressed: bool = False, name: str = "a.tar.gz") -> dict[str, bytes]:
    """What an archive unpacks to; fails where anything is left beside."""
    folder.mkdir(exist_ok=True)
    archive = folder / name
    archive.write_bytes(content if compressed else gzip.compress(content, 1))
    try:
        with unpacked([archive], folder / "out/data") as source:
            return {p.relative_to(source).as_posix(): p.read_bytes() for p in source.rglob("*") if p.is_file()}
    except UserError as error:
        assert str(archive) in str(error)
        raise
    finally:
        assert sorted(p.name for p in folder.iterdir()) == [name, "out"]
        assert not list((folder / "out").iterdir())


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
HOSTILE = {
    "parent path": [member("../outside")],
    "parent path inside": [member("d/../../outside")],
    "absolute path": [member("/tmp/outside")],
    "symbolic link": [member("link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
    "hard link": [member("a"), member("hard", b"", type=tarfile.LNKTYPE, linkname="a")],
    "hard link outside": [member("hard", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")],
    "character device": [member("zero", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=5)],
    "block device": [member("disk", b"", type=tarfile.BLKTYPE, devmajor=8)],
    "pipe": [member("pipe", b"", type=tarfile.FIFOTYPE)],
    "unknown type": [member("odd", b"", type=b"Z")],
    "name twice": [member("a"), member("./a", b"y")],
    "file below a file": [member("a"), member("a/b")],
    "file in place of a folder": [member("d/a"), member("d")],
    "folder in place of a file": [member("a"), member("a", b"", type=tarfile.DIRTYPE)],
    "no name": [member(".")],
    "name too long": [member("n" * 300)],
    "sparse bomb": [member("sparse", b"1\n0\n1\n".ljust(512, b"\0") + b"x", pax_headers=SPARSE)],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_member_is_refused_by_name(tmp_path: Path, tally: Tally, what: str) -> None:
    with pytest.raises(UserError) as error:
        unpack(tar(member("good"), *HOSTILE[what]), tmp_path / "d")
    assert repr(HOSTILE[what][-1][0].name)[1:-1] in str(error.value) and "refused" in str(error.value)
    tally("hostile archive (links, devices, paths, names, sparse)")


def test_bombs_are_refused(tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALLEST_LIMIT", 1 << 20)
    with pytest.raises(UserError, match="unpacks to more than 1,048,576 bytes"):
        unpack(tar(member("zeros", bytes(2 << 20))), tmp_path / "ratio")
    monkeypatch.setattr(archives, "MOST_MEMBERS", 100)
    with pytest.raises(UserError, match="member '100' comes after 100 others: refused"):
        unpack(tar(*(member(str(number), b"") for number in range(101))), tmp_path / "count")
    header = member("a", pax_headers={"comment": "x" * (archives.LARGEST_HEADER + 1)})
    monkeypatch.setattr(archives, "SMALLEST_LIMIT", 64 << 20)
    with pytest.raises(UserError, match=r"header of 1,048,\d+ bytes"):
        unpack(tar(header), tmp_path / "header")
    tally("archive bomb (ratio, number of members, size of a header)", times=3)


def test_spoiled_archives(tmp_path: Path, count: int, tally: Tally) -> None:
    """A change inside of the compressed data, whose checksums then do not tell."""
    long = member("d/" + "n" * 120, b"long")
    for style in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        content = tar(member("d", b"", type=tarfile.DIRTYPE), member("d/a", b"1" * 700), long, style=style)

        @fuzzed(count, spoiled(content))
        def check(changed: bytes) -> None:
            with suppress(UserError):
                unpack(changed, tmp_path / "d")

    packed = gzip.compress(tar(member("a", bytes(range(256)) * 9)), 1)

    @fuzzed(count, spoiled(packed))
    def check_packed(changed: bytes) -> None:
        if changed != packed:
            with suppress(UserError):  # a byte of the gzip header, such as its time, may be any
                assert unpack(changed, tmp_path / "d", compressed=True) == {"a": bytes(range(256)) * 9}

    tally("spoiled tar.gz", times=3 * EXAMPLES * count)


def packed(*members: tuple[str, bytes], mode: int = stat.S_IFREG | 0o644) -> bytes:
    """A zip archive; the last member has the mode."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode if (name, content) == members[-1] else stat.S_IFREG | 0o644) << 16
            file.writestr(info, content, zipfile.ZIP_DEFLATED)
    return raw.getvalue()


def unzip(content: bytes, folder: Path) -> dict[str, bytes]:
    return unpack(content, folder, compressed=True, name="a.zip")


def test_zip(tmp_path: Path) -> None:
    members = {"d/a": b"1" * 700, "d/b": b"", "c": bytes(range(256))}
    assert unzip(packed(*members.items(), ("e/", b"")), tmp_path / "d") == members


HOSTILE_ZIP: dict[str, tuple[list[str], int]] = {
    "parent path": (["../outside"], stat.S_IFREG),
    "parent path inside": (["d/../../outside"], stat.S_IFREG),
    "absolute path": (["/tmp/outside"], stat.S_IFREG),
    "symbolic link": (["link"], stat.S_IFLNK),
    "device": (["zero"], stat.S_IFCHR),
    "file below a file": (["a", "a/b"], stat.S_IFREG),
    "file in place of a folder": (["d/a", "d"], stat.S_IFREG),
    "name too long": (["n" * 300], stat.S_IFREG),
    "no name": (["."], stat.S_IFREG),
}


@pytest.mark.parametrize("what", HOSTILE_ZIP)
def test_hostile_member_of_a_zip_is_refused_by_name(tmp_path: Path, tally: Tally, what: str) -> None:
    names, mode = HOSTILE_ZIP[what]
    with pytest.raises(UserError, match=r"a\.zip: member .* refused") as error:
        unzip(packed(("good", b"x"), *((name, b"y") for name in names), mode=mode | 0o644), tmp_path / "d")
    assert repr(names[-1]) in str(error.value)
    tally("hostile zip (links, devices, paths, names)")


def test_zip_bombs_are_refused(tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALLEST_LIMIT", 1 << 20)
    with pytest.raises(UserError, match="unpacks to more than 1,048,576 bytes"):
        unzip(packed(("zeros", bytes(2 << 20))), tmp_path / "ratio")
    monkeypatch.setattr(archives, "MOST_MEMBERS", 100)
    with pytest.raises(UserError, match="member '100' comes after 100 others: refused"):
        unzip(packed(*((str(number), b"") for number in range(101))), tmp_path / "count")
    tally("zip bomb (ratio, number of members)", times=2)


def test_spoiled_zips(tmp_path: Path, count: int, tally: Tally) -> None:
    """Headers are not held against a checksum, so names may change; contents never do."""
    members = {"d/a": bytes(range(256)) * 9, "b": b"1" * 700}

    @fuzzed(count, spoiled(packed(*members.items())), times=2 * EXAMPLES)
    def check(changed: bytes) -> None:
        with suppress(UserError):
            assert set(unzip(changed, tmp_path / "d").values()) <= {*members.values(), b""}

    tally("spoiled zip", times=2 * EXAMPLES * count)


# Data sets


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    make_archives(folder)
    return folder


def prepared(dataset: str, source: Path, out: Path) -> Path:
    receipt = {"verified": False, "how": "local copy, not verified", "path": str(source), "files": []}
    (out.parent / "receipt.json").write_text(json.dumps(receipt))
    prepare(dataset, receipt=out.parent / "receipt.json", options={}, out=out)
    return out


def news(rows: list[tuple[int, str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def read_news(folder: Path, content: bytes) -> list[tuple[int, str]]:
    """What the data set's reader makes of a training file: class (1 to 4) and text."""
    folder.mkdir(exist_ok=True)
    (folder / "train.csv").write_bytes(content)
    (folder / "test.csv").write_bytes(news([(1, "a", "b")]))
    split = samples.read(prepared("agnews", folder, folder.parent / "prepared"), "train")
    texts = ["".join(map(chr, row)).rstrip("\0") for row in split.samples]
    return list(zip((split.labels + 1).tolist(), texts, strict=True))


TEXT = st.text(st.characters(max_codepoint=0x7FFF, exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
BEYOND = dict.fromkeys(range(0x8000, 0x10000), agnews.OTHER)  # a few small letters of capitals below
ROWS = st.lists(st.tuples(st.integers(1, 4), TEXT, TEXT), min_size=1, max_size=5)


def test_news_of_any_text(tmp_path: Path, count: int, tally: Tally) -> None:
    @fuzzed(count, ROWS, times=10)
    def check(rows: list[tuple[int, str, str]]) -> None:
        expected = [(label, f"{title} {body}".lower()[:1024].translate(BEYOND)) for label, title, body in rows]
        assert read_news(tmp_path / "d", news(rows)) == expected

    tally("CSV of any text", times=10 * count)


def test_news_cut_short(tmp_path: Path, count: int, tally: Tally) -> None:
    rows = [(1, 'a "b"', 'c, "d"'), (2, "e", '"f" ""'), (4, "g", "h\ni")]
    content = news(rows)
    whole = [(label, f"{title} {body}") for label, title, body in rows]
    for length in range(len(content)):
        with suppress(UserError):
            found = read_news(tmp_path / "d", content[:length])
            assert found == whole[: len(found)], f"cut after {length} bytes: {found}"
    tally("CSV cut short", times=len(content))


def test_spoiled_news(tmp_path: Path, count: int, tally: Tally) -> None:
    @fuzzed(count, spoiled(news([(1, 'a "b"', "c"), (2, "é", "f"), (4, "g", "h")])))
    def check(content: bytes) -> None:
        with suppress(UserError):
            assert all(label in (1, 2, 3, 4) for label, _ in read_news(tmp_path / "d", content))

    tally("spoiled CSV", times=EXAMPLES * count)


LEAF = {"users": ["w"], "num_samples": [1], "user_data": {"w": {"x": [[1] * 784], "y": [61]}}}


def read_leaf(folder: Path, content: bytes) -> samples.Split:
    """What is made of a training file of one writer; the test file stays whole."""
    for split in ("train", "test"):
        (folder / "data" / split).mkdir(parents=True, exist_ok=True)
        (folder / "data" / split / "a.json").write_text(json.dumps(LEAF))
    (folder / "data/train/a.json").write_bytes(content)
    return samples.read(prepared("femnist", folder, folder.parent / "prepared"), "train")


def test_spoiled_leaf_files(tmp_path: Path, count: int, tally: Tally) -> None:
    def check(content: bytes) -> None:
        with suppress(UserError):
            split = read_leaf(tmp_path / "d", content)
            assert split.samples.shape[1:] == (1, 28, 28) and split.labels.max() < 62 and split.labels.min() >= 0

    fuzzed(count, spoiled(json.dumps(LEAF).encode()))(check)
    fuzzed(count, altered(LEAF))(lambda changed: check(json.dumps(changed).encode()))
    tally("spoiled FEMNIST", times=2 * EXAMPLES * count)


TABLES = {
    "taobao": ("raw_sample.csv", "user_profile.csv", "ad_feature.csv"),
    "movielens": ("u.data", "u.user", "u.item"),
}


def click_tables(dataset: str, folder: Path) -> Path:
    """Tables of a few users in the official layout."""
    if dataset == "taobao":
        taobao(folder, users=3, ads=4, impressions=20)
    else:
        folder.mkdir()
        for name, content in movielens(users=3, items=5, per_user=5):
            (folder / Path(name).name).write_bytes(content)
    return folder


@pytest.mark.parametrize("dataset", TABLES)
def test_spoiled_tables_of_clicks(dataset: str, tmp_path: Path, count: int, tally: Tally) -> None:
    folder = click_tables(dataset, tmp_path / "d")
    for name in TABLES[dataset]:
        content = (folder / name).read_bytes()

        @fuzzed(count, st.just(folder / name), spoiled(content), times=EXAMPLES // 2)
        def check(path: Path, changed: bytes) -> None:
            path.write_bytes(changed)
            with suppress(UserError):
                out = prepared(dataset, folder, tmp_path / "prepared")
                train = samples.read(out, "train")
                rows, tables = train.samples["sparse"], samples.read_card(out)["shape"][1:]
                assert np.isfinite(train.samples["dense"]).all() and set(train.labels) <= {0, 1}
                assert (rows >= 0).all() and (rows < tables).all()

        (folder / name).write_bytes(content)
    tally("spoiled tables of clicks", times=3 * EXAMPLES // 2 * count)


def recording(n: int = 3000) -> bytes:
    raw = io.BytesIO()
    with wave.open(raw, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_speech.RATE)
        file.writeframes(np.random.default_rng(0).integers(-3000, 3000, n).astype("<i2").tobytes())
    return raw.getvalue()


def test_recordings_cut_short(tmp_path: Path, count: int, tally: Tally) -> None:
    content = recording()
    for length in random.Random("wav").sample(range(len(content)), 20 * count):
        (tmp_path / "a.wav").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"a\.wav"):
            _speech.read_wav(tmp_path / "a.wav")
    tally("wav cut short", times=20 * count)


def test_spoiled_recordings(tmp_path: Path, count: int, tally: Tally) -> None:
    header, rest = recording()[:44], recording()[44:]

    @fuzzed(count, spoiled(header))
    def check(changed: bytes) -> None:
        (tmp_path / "a.wav").write_bytes(changed + rest)
        with suppress(UserError):
            wave = _speech.read_wav(tmp_path / "a.wav", 0, _speech.CLIP)
            assert wave.dtype == np.float32 and 0 < len(wave) <= _speech.CLIP and np.abs(wave).max() <= 1

    tally("wav with a spoiled header", times=EXAMPLES * count)


def test_recording_that_is_not_finite(tmp_path: Path, tally: Tally) -> None:
    import soundfile

    for value in (np.nan, np.inf, 7.0):
        soundfile.write(tmp_path / "a.wav", np.full(100, value), _speech.RATE, "FLOAT")
        with pytest.raises(UserError, match=r"a\.wav"):
            _speech.read_wav(tmp_path / "a.wav")
    tally("wav with NaN, infinity or numbers beyond 1", times=3)


def test_spoiled_list_of_test_clips(tmp_path: Path, miniature: Path) -> None:
    with unpacked([miniature / "speech_commands_v0.01.tar.gz"], tmp_path / "x") as source:
        (source / _speech.TESTING_LIST).write_bytes(b"bed/\xff.wav\n")
        with pytest.raises(UserError, match=r"testing_list\.txt"):
            prepared("speechcommands", source, tmp_path / "out")


def test_spoiled_batches(tmp_path: Path, miniature: Path, count: int, tally: Tally) -> None:
    """CIFAR-10 is read as plain numbers: a pickle of the Python version of the archive is so many bytes, no program."""
    with unpacked([miniature / "cifar-10-binary.tar.gz"], tmp_path / "x") as source:
        batch = source / "cifar-10-batches-bin/data_batch_3.bin"
        content = batch.read_bytes()[: 3 * 3073]
        rng = random.Random("batch")
        for number in range(2 * count):
            length = rng.randrange(len(content)) if number % 2 else 3073 * rng.randrange(1, 4)
            changed = bytearray(content[:length])
            changed[rng.randrange(length or 1) // 3073 * 3073 : 1] = bytes([rng.randrange(256)])
            batch.write_bytes(changed)
            try:
                split = samples.read(prepared("cifar10", source, tmp_path / "out"), "train")
            except UserError as error:
                assert str(batch) in str(error)
            else:
                assert len(changed) % 3073 == 0 and split.labels.max() < 10
        trap = tmp_path / "trap"
        batch.write_bytes(b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR.")
        with pytest.raises(UserError, match="data_batch_3"):
            prepared("cifar10", source, tmp_path / "out")
        assert not trap.exists()
    tally("spoiled CIFAR-10 batch, one of them a hostile pickle", times=2 * count + 1)


def test_spoiled_pictures(tmp_path: Path, count: int, tally: Tally) -> None:
    from flexifed.datasets.cinic10 import _image

    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    content, pixels = path.read_bytes(), _image(path)

    @fuzzed(count, spoiled(content))
    def check(changed: bytes) -> None:
        path.write_bytes(changed)
        with suppress(UserError):
            assert np.array_equal(_image(path), pixels), "a damaged picture passed for another one"

    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n(x) run\n")
    with pytest.raises(UserError, match=r"a\.png is not a readable image"):
        _image(path)
    tally("spoiled PNG, and PostScript that calls itself PNG", times=EXAMPLES * count + 1)


# What the workflow hands from stage to stage


def test_spoiled_partitions(tmp_path: Path, count: int, tally: Tally) -> None:
    rng = np.random.default_rng(0)
    held = [ClientSamples(rng.permutation(40)[:9], np.sort(rng.permutation(20)[:5])) for _ in range(4)]
    path = tmp_path / "p.parquet"
    partition.write(path, held)
    content = path.read_bytes()

    @fuzzed(count, spoiled(content))
    def check(changed: bytes) -> None:
        path.write_bytes(changed)
        try:
            found = partition.read(path)
        except UserError as error:
            assert str(path) in str(error)
        else:
            assert str(found) == str(held), "other samples"

    tally("spoiled partition", times=EXAMPLES * count)


@pytest.mark.parametrize(
    ("column", "row", "value", "problem"),
    [
        ("sample", 0, -1, "negative"),
        ("client", 0, -1, "negative"),
        ("client", 3, 10**9, "not in an order"),
        ("order", 0, 1, "not in an order"),
        ("split", 0, "tset", "its splits are"),
        ("sample", 0, None, "gaps"),
        ("sample", 0, 0.5, "damaged"),
    ],
)
def test_partition_with_a_wrong_row(tmp_path: Path, column: str, row: int, value: object, problem: str) -> None:
    import pandas as pd

    path = tmp_path / "p.parquet"
    partition.write(path, [ClientSamples(np.array([3, 1]), np.array([0]))] * 2)
    table = pd.read_parquet(path).astype({"split": object, "sample": object})
    table.loc[row, column] = value
    table.to_parquet(path, index=False)
    with pytest.raises(UserError, match=f"p.parquet.*{problem}"):
        partition.read(path)


def test_partition_of_another_data_set(tmp_path: Path) -> None:
    held = [ClientSamples(np.array([3, 1]), np.array([0]))] * 2
    fits: dict[str, int] = {"clients": 2, "n_train": 4, "n_test": 1}
    partition.check_fits(tmp_path, held, **fits)
    for key, problem in (("clients", "is for 2 clients"), ("n_train", "train sample 3"), ("n_test", "test sample 0")):
        with pytest.raises(UserError, match=problem):
            partition.check_fits(tmp_path, held, **fits | {key: fits[key] - 1})


def test_spoiled_plans(tmp_path: Path, count: int, tally: Tally) -> None:
    versions = ("V1", "V1", "V2", "V2")
    made = planning.for_family("vgg", "max_common", versions=versions, classifier="all", options={"width": 0.0625})
    path = tmp_path / "plan.json"
    plan.write(made, path)
    text, values = path.read_bytes(), json.loads(path.read_text())
    generator = torch_stream(0, "test")
    chains = [chain(build("vgg", version, (1, 32, 32), 4, {"width": 0.0625}, generator)) for version in versions]

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(UserError):
            found = plan.read(path)
            plan.check(found, chains)
            plan.write(found, tmp_path / "again.json")
            assert plan.read(tmp_path / "again.json") == found

    fuzzed(count, spoiled(text))(check)
    fuzzed(count, altered(values))(lambda changed: check(json.dumps(changed).encode()))
    tally("spoiled plan", times=2 * EXAMPLES * count)


def test_spoiled_prepared_data(tmp_path: Path, count: int, tally: Tally) -> None:
    labels = np.arange(12) % 3
    split = samples.Split(np.random.default_rng(0).integers(0, 256, (12, 1, 32, 32), np.uint8), labels, None)
    made = samples.Prepared(split, split, ("a", "b", "c"))
    card = samples.write(tmp_path, made, dataset="digits", kind="image", source={}, options={})

    def same() -> None:
        with suppress(UserError):
            found = samples.read(tmp_path, "train")
            assert np.array_equal(found.samples, split.samples) and np.array_equal(found.labels, labels)

    for name in ("train.npy", "train.parquet", "card.json"):
        content = (tmp_path / name).read_bytes()

        def check(changed: bytes, path: Path) -> None:
            path.write_bytes(changed)
            same()

        fuzzed(count, spoiled(content), st.just(tmp_path / name), times=EXAMPLES // 2)(check)
        (tmp_path / name).write_bytes(content)

    @fuzzed(count, altered(card))
    def check_card(changed: Any) -> None:
        files.write_json(tmp_path / "card.json", changed)
        same()

    tally("spoiled prepared data or card", times=5 * EXAMPLES // 2 * count)


# What people write


def test_config_of_any_shape(count: int, tally: Tally) -> None:
    values = copy.deepcopy(STUDY) | {
        "datasets": {"cifar10": {"options": {}, "optimiser": {"learning_rate": 0.1}, "archives": None}},
        "families": {"vgg": {"width": 0.5}},
    }
    values["protocols"]["short"] |= {"partition": {"partitioner": "dirichlet", "options": {"alpha": 1.0}}, "final": {}}

    @fuzzed(count, altered(values))
    def check(changed: Any) -> None:
        try:
            study = config.parse(changed)
        except UserError as error:
            told = str(error).splitlines()
            assert len(told) == len(set(told)) and all(": " in line for line in told)
            assert not any(jargon in str(error) for jargon in ("Input should", "Field required", "Extra inputs"))
        else:
            for cell in study.cells():
                study.job(cell).settings()

    tally("config with odd values, or without some", times=EXAMPLES * count)


def test_spoiled_config_files(tmp_path: Path, count: int, tally: Tally) -> None:
    path = tmp_path / "study.yaml"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            config.read(path)
        except UserError as error:
            assert str(error).startswith(str(path))

    fuzzed(count, spoiled(yaml.safe_dump(STUDY).encode()))(check)
    fuzzed(count, st.binary(max_size=60))(check)
    for odd in (
        b"[" * 5000,
        b"study: !!python/object/apply:os.system [touch x]",
        b"a: &a [*a]",
        b"? {a: b}\n: c",
        b"1: 2",
    ):
        with pytest.raises(UserError, match=r"study\.yaml"):
            path.write_bytes(odd)
            config.read(path)
    tally("spoiled config file", times=2 * EXAMPLES * count + 5)


def test_spoiled_jobs(tmp_path: Path, count: int, tally: Tally) -> None:
    job = Job(Cell("cifar10", "vgg", "max_common", "official", 0), Protocol(), {"width": 0.5}, "serial")
    archive = archives.Archive("cifar-10-binary.tar.gz", ("http://x",), bytes=3, sha256="0" * 64)
    values = Run("study", job, Source(None, (archive,), {}, "downloads")).to_json()
    assert Run.from_json(json.loads(json.dumps(values))).to_json() == values
    path = tmp_path / "job.json"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(UserError):
            run = Run.from_json(files.read_object(path))
            again = Run.from_json(json.loads(json.dumps(run.to_json())))
            assert again == run
            assert "/" not in run.study and "/" not in str(run.job.cell).replace("/", "", 4)

    fuzzed(count, spoiled(json.dumps(values).encode()))(check)
    fuzzed(count, altered(json.loads(json.dumps(values))), times=3 * EXAMPLES)(
        lambda changed: check(json.dumps(changed).encode())
    )
    for odd in (b"[" * 100_000, b"\xff", b"", b"null", b'{"study": 1}'):
        path.write_bytes(odd)
        with pytest.raises(UserError):
            Run.from_json(files.read_object(path))
    tally("spoiled job file", times=4 * EXAMPLES * count + 5)
