"""A prepared data set in pieces, and together again."""

from pathlib import Path

import pytest

from flexifed.data import samples
from flexifed.reference import pieces
from flexifed.system.errors import UserError
from tests.unit import federations


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["image", "text"])
def test_what_is_unpacked_is_what_was_packed(tmp_path: Path, kind: str) -> None:
    prepared = federations.prepared(tmp_path / kind, kind)
    limit = 20_000
    paths = pieces.pack(prepared, tmp_path / "pieces", limit)
    assert len(paths) > 1
    assert all(path.stat().st_size <= limit for path in paths)
    assert sorted((tmp_path / "pieces").iterdir()) == sorted(paths)
    pieces.unpack(tmp_path / "pieces", tmp_path / "there")
    assert content(tmp_path / "there") == content(prepared)


def test_a_missing_piece_is_named(tmp_path: Path) -> None:
    paths = pieces.pack(federations.prepared(tmp_path / "data"), tmp_path / "pieces", 20_000)
    paths[1].unlink()
    with pytest.raises(UserError, match=f"missing {paths[1].name}"):
        pieces.unpack(tmp_path / "pieces", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_pieces_of_two_packings_are_not_mixed(tmp_path: Path) -> None:
    prepared = federations.prepared(tmp_path / "data")
    for limit in (20_000, 10_000):
        pieces.pack(prepared, tmp_path / "pieces", limit)
    with pytest.raises(UserError, match="expected the pieces of one data set"):
        pieces.unpack(tmp_path / "pieces", tmp_path / "there")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 0.999])
def test_a_damaged_piece_leaves_no_data_set(tmp_path: Path, place: float) -> None:
    (piece,) = pieces.pack(federations.prepared(tmp_path / "data"), tmp_path / "pieces", 1 << 30)
    data = bytearray(piece.read_bytes())
    data[int(place * len(data))] ^= 0xFF
    piece.write_bytes(data)
    with pytest.raises(UserError, match=r"carry (them|the pieces) again"):
        pieces.unpack(tmp_path / "pieces", tmp_path / "there")
    with pytest.raises(UserError, match="no complete prepared data set"):
        samples.read_card(tmp_path / "there")


def test_other_arrays_than_the_card_names_are_refused(tmp_path: Path) -> None:
    prepared = federations.prepared(tmp_path / "data")
    card = (prepared / "card.json").read_text()
    federations.prepared(tmp_path / "other", n_train=60)
    (prepared / "train.npy").write_bytes((tmp_path / "other/train.npy").read_bytes())
    assert card == (prepared / "card.json").read_text()
    pieces.pack(prepared, tmp_path / "pieces", 1 << 30)
    with pytest.raises(UserError, match=r"train.npy has sha256 .*, its card says"):
        pieces.unpack(tmp_path / "pieces", tmp_path / "there")
