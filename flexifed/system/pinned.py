"""Files of other people that a study relies on: read as a whole, and only if they are what they should be."""

import hashlib
from pathlib import Path

from flexifed.system.errors import UserError


def read_pinned(path: Path, sha256: str, address: str) -> bytes:
    """The content of a file.

    Args:
        path: the file.
        sha256: its digest in hex.
        address: where the file that is meant by default can be had.

    Raises:
        UserError: it cannot be read, or is another file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}. Name the file that you have in the option `file`; the one that is meant by "
            f"default is had by `curl --location --create-dirs --output {path} {address}`."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise UserError(
            f"{path} is another file than the study says: its SHA-256 is {found}, expected {sha256}. If it is "
            f"the one that you mean, write `sha256: {found}` beside its name; the default is at {address}."
        )
    return content
