"""Files that are whole or absent: everything is written beside its final name and moved there when complete."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flexifed.system.errors import UserError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a file system refuses into an error that names the place.

    Args:
        path: The file or folder that the block writes.

    Raises:
        UserError: the disk or quota is full, the file system is read-only, or its permissions forbid it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            free = shutil.disk_usage(existing(path)).free
            raise UserError(f"no space left for {path}: {free:,} bytes are free. Make room and run again.") from error
        if error.errno in FORBIDDEN:
            raise UserError(f"may not write {error.filename or path}: {error.strerror}.") from error
        raise


def check_writable(folder: Path) -> None:
    """Make sure that files can be written into a folder, by writing one; the folder is made if need be.

    Raises:
        UserError: it cannot be made, or takes no file.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there."""
    return next(p for p in (path, *path.absolute().parents) if p.exists())


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it to `path` when the block ends well, remove it when it does not.

    Raises:
        UserError: the file system refuses, see `writing`.
    """
    path = Path(path)
    # The token tells processes of one number apart, which are on other machines or in other containers.
    partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, keys in the order given, complete or not at all."""
    with complete(path) as partial:
        partial.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it is not there, or it is not JSON; the file and the place in it are named.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file: {error}. Make it again.") from error


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        UserError: as `read_json`, or it holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(value).__name__}. Make it again.")
    return value


@contextmanager
def parquet(path: Path, columns: list[str]) -> Iterator[pq.ParquetFile]:
    """Open a parquet file with exactly these columns; pages that were written with a checksum are held against it.

    Raises:
        UserError: it is not there, is damaged, or has other columns; also where the block finds out, while it reads or
            casts.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if (found := file.schema_arrow.names) != columns:
                raise UserError(
                    f"{path}: expected columns {', '.join(columns)}, found {', '.join(found)}. Make it again."
                )
            yield file
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path}: {error.strerror}.") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged, or not a parquet file ({error}). Make it again.") from error


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
