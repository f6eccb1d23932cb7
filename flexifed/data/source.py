"""Finding and checking files of a data set in its official layout."""

from collections.abc import Sequence
from pathlib import Path

from flexifed.system.errors import UserError


def locate(source: Path | None, folder: str, files: Sequence[str]) -> Path:
    """The folder that holds a data set: `source` itself, or `source/folder`.

    Args:
        source: A local copy, its parent, or an unpacked archive.
        folder: Name of the data set's own folder.
        files: Files and folders that must be in it.

    Raises:
        UserError: neither folder holds all of them; the message lists what was looked for and what is missing.
    """
    assert source is not None, "only bundled data sets have no source"
    missing = {place: [f for f in files if not (place / f).exists()] for place in (source, source / folder)}
    for place, lacking in missing.items():
        if not lacking:
            return place
    place, lacking = min(missing.items(), key=lambda item: len(item[1]))
    if len(lacking) == len(files):
        raise UserError(
            f"no copy of the data in {source} or {source / folder}"
            f"{'' if source.exists() else ' (no such folder)'}: looked for {', '.join(files)}."
        )
    raise UserError(
        f"incomplete copy of the data in {place}: {', '.join(lacking)} missing (looked for {', '.join(files)})."
    )
