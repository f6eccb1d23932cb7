"""From a data set's name to verified files on this machine, or to a local copy, and a receipt that says which.

The receipt is what preparation reads: `verified`, `how`, `path` (the folder that holds the archives, or the local
copy; null for a bundled data set) and `files` (name, bytes, sha256, url).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flexifed.data.archives import Archive, fetch
from flexifed.data.source import is_bundled, locate, wrong_source
from flexifed.settings import registry
from flexifed.system.errors import UserError
from flexifed.system.files import write_json
from flexifed.system.progress import bar


def download(
    dataset: str, *, local: Path | None, archives: Sequence[Archive] | None, downloads: Path, receipt: Path
) -> None:
    """Make a data set's files available and write the receipt.

    Args:
        dataset: Registered name.
        local: A copy that the user already has, in the official layout; nothing is downloaded then.
        archives: Used in place of the data set's own (mirrors or digests of the user's), with the same file names.
        downloads: Archives are kept in `downloads/{dataset}/`, and only what is not there has to be written.
        receipt: Where to write the receipt (JSON).

    Raises:
        UserError: nothing could be downloaded or verified, the local copy is not in the official layout, or the data
            set does not come in the way that is asked for.
    """
    for key, text in wrong_source(dataset, local, archives):
        raise UserError(f"datasets.{dataset}.{key}: {text}")
    module = registry.load("dataset", dataset)
    if is_bundled(module):
        found: dict[str, Any] = {"verified": True, "how": module.ORIGIN, "path": None, "files": []}
    elif local is not None:
        locate(local, module.FOLDER, module.FILES)
        found = {"verified": False, "how": "local copy, not verified", "path": str(local), "files": []}
    else:
        found = _downloaded(dataset, archives or module.ARCHIVES, downloads / dataset)
        if archives:
            found["how"] += ", archives as set in the config"
    write_json(receipt, found)


def _downloaded(dataset: str, archives: Sequence[Archive], folder: Path) -> dict[str, Any]:
    files = []
    for archive in archives:
        with bar(f"{dataset}: {archive.file}", "B") as progress:
            files.append(fetch(archive, folder, progress))
    checks = {archive.pinned[0] if archive.pinned else None for archive in archives}
    checks_made = " and ".join(sorted(check for check in checks if check))
    how = "downloaded, not verified" if None in checks else f"downloaded, {checks_made} checked"
    return {"verified": None not in checks, "how": how, "path": str(folder), "files": files}
