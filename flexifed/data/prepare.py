"""From downloaded archives or a local copy to typed arrays and their card."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flexifed.data import samples
from flexifed.data.archives import enough_space, unpacked
from flexifed.data.parallel import Workers
from flexifed.settings import registry
from flexifed.system import machine
from flexifed.system.errors import UserError
from flexifed.system.files import digest, read_json
from flexifed.system.progress import bar


def prepare(dataset: str, *, receipt: Path, options: Mapping[str, Any], out: Path, threads: int | None = None) -> None:
    """Read a data set and write its arrays and card.

    Args:
        dataset: Registered name.
        receipt: Written by `flexifed.data.download`.
        options: The data set's options that differ from their defaults (keyword parameters of its `prepare`).
        out: Folder to write, see `flexifed.data.samples`. Archives are unpacked beside it for the time of the call.
        threads: Number of threads that share the work, all cores by default. The result does not depend on it.

    Raises:
        UserError: an option is unknown, or the data is not what the data set expects (file and row are named).
    """
    registry.check_options("dataset", dataset, options)
    module = registry.load("dataset", dataset)
    record = read_json(receipt)
    with _source(record, out) as source, bar(f"preparing {dataset}", "samples") as progress:
        prepared = module.prepare(source, Workers(threads or machine.cores(), progress), **options)
    out.mkdir(parents=True, exist_ok=True)
    with enough_space(out, prepared.train.samples.nbytes + prepared.test.samples.nbytes):
        samples.write(
            out,
            prepared,
            dataset=dataset,
            kind=module.KIND,
            source={key: record[key] for key in ("verified", "how", "files")},
            options=registry.keywords("dataset", dataset) | dict(options),
        )


@contextmanager
def _source(record: Mapping[str, Any], out: Path) -> Iterator[Path | None]:
    """The folder to read: the local copy, the unpacked archives, or the downloads where they are plain files."""
    if record["path"] is None:
        yield None
        return
    folder = Path(record["path"])
    files = [_unchanged(folder / file["name"], file["sha256"]) for file in record["files"]]
    compressed = [file for file in files if file.name.endswith((".tar.gz", ".zip"))]
    if not compressed:
        yield folder
        return
    with unpacked(compressed, out) as source:
        yield source


def _unchanged(path: Path, sha256: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} was downloaded and is no longer there. Download the data set again.")
    if (found := digest(path)) != sha256:
        raise UserError(f"{path} has changed since it was downloaded: expected sha256 {sha256}, found {found}.")
    return path
