"""What a study must find on this machine, looked at before its first job: data, folders, and nobody else's results."""

from collections.abc import Iterator
from pathlib import Path

from flexifed.data.source import locate
from flexifed.settings import layout, registry
from flexifed.study import ownership
from flexifed.study.config import Study
from flexifed.study.single import Source, draw_devices, is_prepared
from flexifed.system import files
from flexifed.system.errors import UserError
from flexifed.system.pinned import read_pinned


def check(study: Study, config: Path) -> None:
    """Look, and write nothing.

    Args:
        study: Read from `config` and its overlays.
        config: The study's own file.

    Raises:
        UserError: the results are those of another file; something that the study reads is not there or not what it
            should be (local copies of data sets that are not prepared yet, files of weights); devices cannot be drawn,
            or there is no package for the live view.
    """
    ownership.check(layout.study_folder(study.name), config)
    _raise(_missing(study))


def begin(study: Study, config: Path | None, *, trains: bool) -> None:
    """Look, make the folders that will be written, and note whose results they are.

    Args:
        study: Read from `config` and its overlays.
        config: The study's own file; None where there is none.
        trains: Whether data may be needed.

    Raises:
        UserError: as `check`, or a folder that will be written takes no file.
    """
    results = layout.study_folder(study.name)
    files.check_writable(results)
    if config:
        ownership.check(results, config)
    if trains:
        _raise([*_missing(study), *_downloads(study)])
    if config:
        ownership.take(results, config)


def _raise(faults: Iterator[str] | list[str]) -> None:
    if text := "\n".join(faults):
        raise UserError(text)


def _missing(study: Study) -> Iterator[str]:
    """What is read and is not there, or not what it should be."""
    yield from _local_copies(study)
    yield from _devices(study)
    yield from _weights(study)
    yield from _live_view(study)


def _local_copies(study: Study) -> Iterator[str]:
    for dataset, source in _unprepared(study):
        module = registry.load("dataset", dataset)
        try:
            if source.local is not None:
                locate(Path(source.local), module.FOLDER, module.FILES)
        except UserError as error:
            yield f"datasets.{dataset}.local: {error}"


def _downloads(study: Study) -> Iterator[str]:
    """A folder for archives must take files where one of its archives is not there yet, and only there."""
    for dataset, source in _unprepared(study):
        folder = Path(source.downloads) / dataset
        archives = source.archives or registry.load("dataset", dataset).ARCHIVES
        absent = [archive.file for archive in archives if not (folder / archive.file).exists()]
        try:
            if absent and source.local is None:
                files.check_writable(folder)
        except UserError as error:
            yield f"downloads: {error} {', '.join(absent)} would be downloaded there, see docs/data.md."


def _devices(study: Study) -> Iterator[str]:
    """Devices of every protocol that has them can be drawn, for its first seed."""
    for name, seed in {cell.protocol: cell.seed for cell in reversed(study.cells())}.items():
        protocol = study.protocol(name)
        try:
            if protocol.devices:
                draw_devices(protocol.devices, clients=protocol.clients, wanted=protocol.cohort_size(), seed=seed)
        except UserError as error:
            yield f"protocols.{name}.devices: {error}"


def _live_view(study: Study) -> Iterator[str]:
    if study.tensorboard:
        from flexifed.training import live

        try:
            live.check()
        except UserError as error:
            yield str(error)


def _weights(study: Study) -> Iterator[str]:
    """The files that weights begin with are there and the right ones, where a cell has yet to be trained from them."""
    root, wanted = layout.study_folder(study.name), {}
    for cell in study.cells():
        if address := registry.constant("family", cell.family, "WEIGHTS", ""):
            job = study.job(cell)
            if not job.is_up_to_date(root / layout.CELL.format(**vars(cell)) / "run.json"):
                options = registry.keywords("family", cell.family) | dict(job.family_options)
                wanted[cell.family, options["file"], options["sha256"]] = address
    for (family, file, sha256), address in wanted.items():
        try:
            read_pinned(Path(file), sha256, address)
        except UserError as error:
            yield f"families.{family}.file: {error}"


def _unprepared(study: Study) -> Iterator[tuple[str, Source]]:
    """The data sets that have yet to be read, and where they come from."""
    root = layout.study_folder(study.name)
    for dataset, cell in {cell.dataset: cell for cell in study.cells()}.items():
        source = study.run(cell).source
        receipt, prepared = (root / pattern.format(dataset=dataset) for pattern in (layout.SOURCE, layout.DATA))
        if not is_prepared(dataset, source, receipt, prepared):
            yield dataset, source
