"""Files of other people that describe devices: text is read, pickles are refused."""

from pathlib import Path

from flexifed.system.errors import UserError

PICKLES = (b"\x80", b"(dp", b"(lp", b"ccopy")
"""How a pickled dictionary or list begins, in the newer protocols and in the first."""


def refuse_pickle(path: Path, convert: str) -> None:
    """Refuse a file that is not there or is a pickle; a path that cannot be opened otherwise is left to its reader.

    Args:
        path: the file.
        convert: Python that makes a file that can be read out of the pickle at `{path}`.

    Raises:
        UserError: it is such a file.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}. docs/devices.md says where FedScale's devices are.") from error
    if start.startswith(PICKLES):
        raise UserError(
            f"{path} is a pickle. Reading one runs whatever code it holds, so it is refused. Where you trust it, "
            f"convert it once with Python, and name the new file: {convert.format(path=path)}"
        )
