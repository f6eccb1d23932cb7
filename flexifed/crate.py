"""A study with its provenance as a research object: an RO-Crate 1.1 with the profile "Process Run Crate" 0.5.

Each finished cell is an action: done by this package, in the version and commit that its record names, from a data set,
a partition and a plan, with a history and a record as its result. Every file has its size and its SHA-256.
See https://w3id.org/ro/crate/1.1 and https://w3id.org/ro/wfrun/process/0.5.
"""

import datetime
import mimetypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flexifed.settings import layout
from flexifed.settings.cell import Cell
from flexifed.system import files, provenance
from flexifed.system.errors import UserError

LICENCE = "https://spdx.org/licenses/MIT"
"""Of this repository, and so of what it makes unless the owner of a study says otherwise."""
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
WHOLE = (
    "report.html",
    "cells.parquet",
    "runs.parquet",
    "tables",
    "figures",
    "partitions",
    "plans",
    "budgets",
    "masks",
    "devices",
)
"""What is packed of a study beside its cells, where it is there."""
CELL = ("history.parquet", "run.json")
TYPES = {".parquet": "application/vnd.apache.parquet", ".md": "text/markdown", ".tex": "text/x-tex"}


def write(folder: Path, out: Path, *, licence: str = LICENCE) -> Path:
    """Pack a study.

    Args:
        folder: of the study, `results/{study}`.
        out: the archive, `*.zip`.
        licence: address of the licence of the results.

    Raises:
        UserError: no finished cell is in the folder, the packing library is not installed, or `out` takes no file.
    """
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        raise UserError("`rocrate` is not installed: run `make setup`, or `pip install rocrate`.") from None
    records = sorted(folder.glob(f"{layout.CELL.format(**dict.fromkeys(Cell.__annotations__, '*'))}/run.json"))
    if not records:
        raise UserError(
            f"{folder}: no finished cell is there (cells/…/run.json); give the folder of a study's results."
        )
    crate = ROCrate(version="1.1")
    crate.name = f"{folder.name}: a study of federated learning among unequal clients"
    crate.description = f"{len(records)} runs with their histories and records, tables, figures and report."
    crate.license = licence
    crate.datePublished = datetime.datetime.now(datetime.UTC)
    crate.root_dataset["conformsTo"] = _entity(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    for path in _files(folder):
        _add(crate, path, folder)
    for record in records:
        _action(crate, record, folder)
    with files.writing(out), files.complete(out) as partial:
        crate.write_zip(partial)
    return out


def _files(folder: Path) -> Iterator[Path]:
    for name in WHOLE:
        found = [folder / name] if (folder / name).is_file() else sorted((folder / name).rglob("*"))
        yield from (path for path in found if path.is_file() and not path.name.startswith("."))
    for extra in ("requirements.lock", "CITATION.cff"):
        if (path := provenance.ROOT / extra).exists():
            yield path


def _add(crate: Any, path: Path, folder: Path) -> Any:
    """The file in the crate, under the name that it has in the study; once."""
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    if there := crate.dereference(name):
        return there
    properties = {
        "name": path.name,
        "contentSize": str(path.stat().st_size),
        "encodingFormat": TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain",
        "sha256": files.digest(path),
    }
    return crate.add_file(path, name, properties=properties)


def _action(crate: Any, path: Path, folder: Path) -> None:
    record = files.read_object(path)
    cell = Cell(**record["cell"])
    plan = layout.PLAN_OF_DATASET if record["settings"]["protocol"].get("budgets") else layout.PLAN
    used = [folder / pattern.format(**vars(cell)) for pattern in (layout.PARTITION, plan)]
    started = datetime.datetime.fromisoformat(record["started"])
    ended = started + datetime.timedelta(seconds=round(record["seconds"]))
    properties = {
        "name": f"training of {cell}",
        "description": f"seed {cell.seed}, {record['settings']['protocol']['rounds']} rounds, on {record['device']}",
        "startTime": started.isoformat(),
        "endTime": ended.isoformat(),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    action = crate.add_action(
        _software(crate, record),
        identifier=f"#{cell}",
        object=[*(_add(crate, file, folder) for file in used if file.exists()), _data(crate, record)],
        result=[_add(crate, path.with_name(name), folder) for name in CELL],
        properties=properties,
    )
    crate.root_dataset.append_to("mentions", action)


def _software(crate: Any, record: dict[str, Any]) -> Any:
    """This package as the run has recorded it, with the packages that numbers depend on."""
    commit, packages = record["commit"], record["packages"]
    version = packages.get("flexifed", "unknown")
    state = f"commit {commit['id']}{' with changes' if commit['dirty'] else ''}" if commit else "no commit recorded"
    needed = [_package(crate, name, of) for name, of in packages.items() if name != "flexifed"]
    return _entity(
        crate,
        f"#flexifed-{version}-{commit['id'] if commit else ''}",
        "SoftwareApplication",
        name="flexifed",
        softwareVersion=version,
        description=f"{state}, engine {record['settings']['engine']}",
        softwareRequirements=needed,
    )


def _package(crate: Any, name: str, version: str) -> Any:
    """Python, or a package of its index."""
    release = f"https://pypi.org/project/{name}/{version}/"
    address = (
        f"https://www.python.org/downloads/release/python-{version.replace('.', '')}/" if name == "python" else release
    )
    return _entity(crate, address, "SoftwareApplication", name=name, softwareVersion=version, url=address)


def _data(crate: Any, record: dict[str, Any]) -> Any:
    """The prepared data set, which is not packed: where it is from, and the digests of its arrays."""
    data = record["data"]
    digests = "; ".join(f"{name} {digest}" for name, digest in data["digests"].items())
    how = (
        f"{data['n_train']:,} training and {data['n_test']:,} test samples; {data['source']['how']}; SHA-256: {digests}"
    )
    return _entity(crate, f"#data-{data['dataset']}", "CreativeWork", name=data["dataset"], description=how)


def _entity(crate: Any, identifier: str, kind: str, **properties: Any) -> Any:
    """The entity of this name; made where it is not there yet."""
    from rocrate.model.contextentity import ContextEntity

    there = crate.dereference(identifier)
    return there or crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))
