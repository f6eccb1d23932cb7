"""The partition of a (data set, protocol, seed): which samples each client trains and is tested on, as a parquet file.

It knows nothing of strategies, so every strategy of a seed sees the same clients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flexifed import files, protocol, registry, rng, samples
from flexifed.errors import UserError
from flexifed.partitioners._dealing import Assignment, Indices

SCHEMA = pa.schema(
    [
        ("client", pa.int32()),
        ("split", pa.dictionary(pa.int8(), pa.string())),
        ("sample", pa.int32()),
        ("order", pa.int32()),
    ]
)


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
            into the split), order int32 (position in the client's list of this split).

    Raises:
        UserError: unknown partitioner or option, or a request that this data set cannot fulfil.
    """
    train, test = (samples.read_labels(prepared, split) for split in samples.SPLITS)
    deal = registry.load("partitioner", settings.partitioner).partition
    shards = test_set == "shard"
    try:
        registry.check_options("partitioner", settings.partitioner, "partition", settings.options)
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
    write(out, [ClientSamples(*lists) for lists in zip(ordered, tests, strict=True)])


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


def _check_columns(path: Path, table: pa.Table) -> None:
    """Refuse rows that no list of a client can hold; `_check_list` sees to the rest."""
    splits = pc.unique(table["split"].cast(pa.string())).to_pylist()
    wrong = ""
    if len(table) == 0 or any(column.null_count for column in table.columns):
        wrong = "it has no rows, or gaps in them"
    elif any(pc.min(table[name]).as_py() < 0 for name in ("client", "sample", "order")):
        wrong = "it holds a negative number"
    elif pc.max(table["client"]).as_py() >= len(table):
        wrong = f"of the clients up to {pc.max(table['client']).as_py()} some have no rows"
    elif not set(splits) <= set(samples.SPLITS):
        wrong = f"its splits are {', '.join(map(str, splits))}, expected {', '.join(samples.SPLITS)}"
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
    return ascending if order == "index" else rng.stream(seed, "order", client).permutation(ascending)


def write(path: Path, clients: Sequence[ClientSamples]) -> None:
    """Write the partition file of clients 0..K-1; equal lists give equal bytes."""
    lists = [
        (client, split, getattr(c, name))
        for client, c in enumerate(clients)
        for split, name in enumerate(samples.SPLITS)
    ]
    lengths = [len(indices) for _, _, indices in lists]
    columns = [
        pa.array(np.repeat(np.array([client for client, _, _ in lists], dtype=np.int32), lengths)),
        pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(np.array([split for _, split, _ in lists], dtype=np.int8), lengths)),
            pa.array(samples.SPLITS),
        ),
        pa.array(np.concatenate([indices for _, _, indices in lists]).astype(np.int32)),
        pa.array(np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])),
    ]
    with files.complete(path) as partial:
        # Deltas: a whole test set for each client is stored in next to no space.
        encoding = dict.fromkeys(("sample", "order"), "DELTA_BINARY_PACKED")
        table = pa.Table.from_arrays(columns, schema=SCHEMA)
        pq.write_table(
            table,
            partial,
            compression="zstd",
            use_dictionary=["client", "split"],
            column_encoding=encoding,
            write_page_checksum=True,
        )


def read(path: Path) -> list[ClientSamples]:
    """Read a partition file: the samples of client 0, 1, ...

    Raises:
        UserError: it is not there, is damaged, or is not a partition; the file is named.
    """
    with files.parquet(path, SCHEMA.names) as file:
        table = file.read().cast(SCHEMA)
    _check_columns(path, table)
    client, sample, order = (table[name].to_numpy() for name in ("client", "sample", "order"))
    test = np.asarray(table["split"].cast(pa.string()).to_numpy() == "test")
    # One list per (client, split), the training list first; rows may come in any order.
    owner = 2 * client.astype(np.int64) + test
    rows = np.lexsort((order, owner))
    ends = np.cumsum(np.bincount(owner, minlength=2 * (1 + int(client.max()))))[:-1]
    lists = np.split(sample[rows].astype(np.int64), ends)
    for number, (places, indices) in enumerate(zip(np.split(order[rows], ends), lists, strict=True)):
        _check_list(path, number // 2, samples.SPLITS[number % 2], places, indices)
    return [ClientSamples(train, test) for train, test in zip(lists[::2], lists[1::2], strict=True)]
