"""The partition of a (data set, protocol, seed): which samples each client trains and is tested on, as a parquet file.

It knows nothing of strategies, so every strategy of a seed sees the same clients.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flexifed.data import samples
from flexifed.data.samples import Assignment, Indices
from flexifed.settings import protocol, registry, rng
from flexifed.system import files
from flexifed.system.errors import UserError

SCHEMA = pa.schema(
    [
        ("client", pa.int32()),
        ("split", pa.dictionary(pa.int8(), pa.string())),
        ("sample", pa.int32()),
        ("order", pa.int32()),
    ]
)
WHOLE = b"whole_test_set"
"""Key of the schema's metadata: that every client is tested on all of so many test samples, which then have no rows."""
ROW_GROUP = 1 << 20
"""Rows written or read at a time."""


@dataclass(frozen=True)
class ClientSamples:
    """One client's samples, as indices into the prepared splits."""

    train: Indices
    """int64 [n], in the order that the client's slices walk."""
    test: Indices
    """int64 [m], ascending."""


def partition(
    prepared: Path, settings: protocol.Partition, *, clients: int, test_set: str, seed: int, out: Path
) -> None:
    """Deal the samples of a prepared data set to clients and write the partition file.

    Args:
        prepared: folder of the prepared data set; only labels and groups are read.
        settings: the protocol's partitioner, its options, and the order of the clients' lists.
        clients: number of clients.
        test_set: "shard" or "whole", see `protocol.Protocol.test_set`.
        seed: of the study's cell; the same seed gives the same bytes.
        out: parquet file, one row per (client, sample): client int32, split "train" or "test", sample int32 (index
            into the split), order int32 (position in the client's list of this split). A test set that is whole is
            said once, in the file's metadata.

    Raises:
        UserError: unknown partitioner or option, or a request that this data set cannot fulfil.
    """
    train, test = (samples.read_labels(prepared, split) for split in samples.SPLITS)
    deal = registry.load("partitioner", settings.partitioner).partition
    shards = test_set == "shard"
    try:
        registry.check_options("partitioner", settings.partitioner, settings.options)
        assignment: Assignment = deal(
            train, test if shards else None, clients, rng.stream(seed, "partition"), **settings.options
        )
    except UserError as error:
        message = f"cannot partition {prepared} for {clients} clients with {settings.partitioner!r}: {error}"
        raise UserError(message) from error
    _check(assignment.train, clients, len(train.labels))
    if shards:
        _check(assignment.test, clients, len(test.labels))
    ordered = [_order(indices, settings.order, seed, client) for client, indices in enumerate(assignment.train)]
    tests = [np.sort(indices) for indices in assignment.test] if shards else [np.arange(len(test.labels))] * clients
    whole = None if shards else len(test.labels)
    write(out, [ClientSamples(*lists) for lists in zip(ordered, tests, strict=True)], whole)


def check_fits(path: Path, held: Sequence[ClientSamples], *, clients: int, n_train: int, n_test: int) -> None:
    """Check that a partition was made for this many clients, and for a data set of this size.

    Raises:
        UserError: it was made for another number of clients, or names a sample that is not there.
    """
    if len(held) != clients:
        raise UserError(f"{path} is for {len(held)} clients, there are {clients}. Make the partition again.")
    for split, size in (("train", n_train), ("test", n_test)):
        last = max(int(getattr(client, split).max(initial=-1)) for client in held)
        if last >= size:
            raise UserError(
                f"{path} names {split} sample {last:,}, the data set has {size:,}. Make the partition again."
            )


def _check_rows(path: Path, table: pa.Table, expected: Sequence[str]) -> None:
    """Refuse rows that no list of a client can hold, or of no expected split; `_check_list` sees to the rest."""
    splits = pc.unique(table["split"].cast(pa.string())).to_pylist()
    wrong = ""
    if any(column.null_count for column in table.columns):
        wrong = "it has gaps in its rows"
    elif any(pc.min(table[name]).as_py() < 0 for name in ("client", "sample", "order")):
        wrong = "it holds a negative number"
    elif not set(splits) <= set(expected):
        wrong = f"its splits are {', '.join(map(str, splits))}, expected {', '.join(expected)}"
    if wrong:
        raise UserError(f"{path} is not a partition: {wrong}. Make the partition again.")


def _check_list(path: Path, client: int, split: str, order: np.ndarray, sample: np.ndarray) -> None:
    """Refuse a client's list, int [n], sorted by `order`, that is not one."""
    wrong = ""
    if split == "train" and len(sample) == 0:
        wrong = "are none"
    elif not np.array_equal(order, np.arange(len(order))):
        wrong = "are not in an order 0, 1, 2, ..."
    elif len(np.unique(sample)) != len(sample):
        wrong = "hold one twice"
    if wrong:
        raise UserError(
            f"{path} is not a partition: the {split} samples of client {client} {wrong}. Make the partition again."
        )


def _check(lists: Sequence[Indices], clients: int, size: int) -> None:
    """Assert what every partitioner promises: a list for each client, none empty, no sample twice, all in range."""
    assert len(lists) == clients and all(len(indices) for indices in lists)
    dealt = np.concatenate(lists)
    assert dealt.min() >= 0 and dealt.max() < size and np.bincount(dealt).max() == 1


def _order(indices: Indices, order: str, seed: int, client: int) -> Indices:
    ascending = np.sort(indices)
    if order == "index":
        return ascending
    shuffled = rng.stream(seed, "order", client).permutation(ascending)
    return set_order(shuffled) if order == "set" else shuffled


def set_order(indices: Indices) -> Indices:
    """The order in which a Python set hands out these numbers, int64 [n], when they are put in one after the other.

    The authors draw a client's samples into a set and slice `list(set)`. In CPython that is no random order: a number
    lies in its table at the number modulo the table's size, 8,192 places for 2,500 numbers, or behind it if the place
    is taken. So a slice is a comb of index ranges: of all classes where the table is smaller than a class's share of a
    data set stored class by class, of two or three classes where it is larger.
    """
    return np.array(list(set(indices.tolist())), dtype=np.int64)


def write(path: Path, clients: Sequence[ClientSamples], whole_test_set: int | None = None) -> None:
    """Write the partition file of clients 0..K-1; equal lists give equal bytes.

    Args:
        path: the file.
        clients: their lists.
        whole_test_set: where every client is tested on the whole test set, its size; the lists of it are not written.
    """
    schema = SCHEMA
    if whole_test_set is not None:
        schema = SCHEMA.with_metadata({WHOLE: str(whole_test_set)})
        clients = [replace(client, test=np.empty(0, np.int64)) for client in clients]
    encoding = dict.fromkeys(("sample", "order"), "DELTA_BINARY_PACKED")
    with (
        files.complete(path) as partial,
        pq.ParquetWriter(
            partial,
            schema,
            compression="zstd",
            use_dictionary=["client", "split"],
            column_encoding=encoding,
            write_page_checksum=True,
        ) as writer,
    ):
        for rows in _row_groups(clients):
            writer.write_table(rows)


def _row_groups(clients: Sequence[ClientSamples]) -> Iterator[pa.Table]:
    """All rows, at most `ROW_GROUP` at a time: they may be too many for memory."""
    lists = [
        (client, split, getattr(c, name))
        for client, c in enumerate(clients)
        for split, name in enumerate(samples.SPLITS)
    ]
    ends = np.cumsum([len(indices) for _, _, indices in lists])
    for first in range(0, int(ends[-1]), ROW_GROUP):
        pieces = []
        for (client, split, indices), end in zip(lists, ends, strict=True):
            skipped = first - (int(end) - len(indices))
            start, stop = max(skipped, 0), min(skipped + ROW_GROUP, len(indices))
            if start < stop:
                pieces.append((client, split, start, indices[start:stop]))
        yield _table(pieces)


def _table(pieces: Sequence[tuple[int, int, int, Indices]]) -> pa.Table:
    """Rows of pieces of lists: client, number of the split, position of the first index in its list, indices."""
    lengths = [len(indices) for _, _, _, indices in pieces]
    columns = [
        pa.array(np.repeat(np.array([client for client, _, _, _ in pieces], dtype=np.int32), lengths)),
        pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(np.array([split for _, split, _, _ in pieces], dtype=np.int8), lengths)),
            pa.array(samples.SPLITS),
        ),
        pa.array(np.concatenate([indices for _, _, _, indices in pieces]).astype(np.int32)),
        pa.array(np.concatenate([np.arange(i, i + len(p), dtype=np.int32) for _, _, i, p in pieces])),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def read(path: Path) -> list[ClientSamples]:
    """Read a partition file: the samples of client 0, 1, ...; clients with equal test lists share one array.

    Raises:
        UserError: it is not there, is damaged, or is not a partition; the file is named.
    """
    pieces: defaultdict[int, list[NDArray[np.int32]]] = defaultdict(list)
    with files.parquet(path, SCHEMA.names) as file:
        said = (file.schema_arrow.metadata or {}).get(WHOLE)
        whole = None if said is None else np.arange(int(said))
        expected = samples.SPLITS if whole is None else samples.SPLITS[:1]
        for batch in file.iter_batches(ROW_GROUP):
            rows = pa.Table.from_batches([batch]).cast(SCHEMA)
            _check_rows(path, rows, expected)
            for owner, piece in _by_list(rows):
                pieces[owner].append(piece)
    clients: list[ClientSamples] = []
    for client in range(1 + max(pieces, default=0) // 2):
        train, test = (
            _list(path, client, split, pieces.pop(2 * client + number, []))
            for number, split in enumerate(samples.SPLITS)
        )
        if whole is not None:
            test = whole
        elif clients and np.array_equal(test, clients[-1].test):
            test = clients[-1].test
        clients.append(ClientSamples(train, test))
    return clients


def _by_list(rows: pa.Table) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Split rows by the list they belong to: twice the client, one more for its test list; order and sample, [2, n]."""
    test = pc.equal(rows["split"].cast(pa.string()), "test").to_numpy(zero_copy_only=False)
    owner = 2 * rows["client"].to_numpy() + test
    values = np.stack([rows["order"].to_numpy(), rows["sample"].to_numpy()])
    if (np.diff(owner) < 0).any():
        grouped = np.argsort(owner, kind="stable")
        owner, values = owner[grouped], values[:, grouped]
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    yield from zip(owner[starts].tolist(), np.split(values, starts[1:], axis=1), strict=True)


def _list(path: Path, client: int, split: str, pieces: Sequence[NDArray[np.int32]]) -> Indices:
    """The samples of one list in their order, from pieces of order and sample, [2, n]."""
    order, sample = np.concatenate([np.empty((2, 0), np.int32), *pieces], axis=1)
    places = np.argsort(order, kind="stable")
    _check_list(path, client, split, order[places], sample[places])
    indices: Indices = sample[places].astype(np.int64)
    return indices
