"""Where a data set can come from, and finding its files in their official layout."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from flexifed.data.archives import Archive
from flexifed.settings import registry
from flexifed.system.errors import UserError


def is_bundled(module: ModuleType) -> bool:
    """Whether a data set has neither archives nor files of its own; its `ORIGIN` says how it comes instead."""
    return not module.ARCHIVES and not module.FILES


def wrong_source(
    dataset: str, local: Path | str | None, archives: Sequence[Archive] | None
) -> Iterator[tuple[str, str]]:
    """What a data set's settings `local` and `archives` ask for and it cannot give, whatever lies on this machine.

    Args:
        dataset: Registered name.
        local: The folder that the study names, if any.
        archives: Those that the study names in place of the data set's own, if any.

    Yields:
        The key, and what is wrong with it.
    """
    module = registry.load("dataset", dataset)
    if is_bundled(module):
        if local is not None:
            yield "local", f"{dataset!r} is {module.ORIGIN} and is read from no folder: remove `local`."
        if archives:
            yield "archives", f"{dataset!r} is {module.ORIGIN} and is not downloaded: remove `archives`."
    elif archives and (text := _other_files(dataset, module.ARCHIVES, archives)):
        yield "archives", text
    elif not module.ARCHIVES and local is None:
        yield "local", f"{dataset!r} has no archive to download: name a folder with {', '.join(module.FILES)} here."


def _other_files(dataset: str, own: Sequence[Archive], given: Sequence[Archive]) -> str | None:
    """Why archives cannot replace a data set's own, if they cannot."""
    expected, found = (sorted(archive.file for archive in some) for some in (own, given))
    if not expected:
        return f"{dataset!r} has no archives that others could replace: remove `archives` and name a folder as `local`."
    return f"expected the files {', '.join(expected)}, got {', '.join(found)}." if expected != found else None


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
