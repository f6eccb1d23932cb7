"""Which study file a folder of results belongs to: a second one of the same name would overwrite what is there."""

from pathlib import Path

from flexifed.settings import layout
from flexifed.system import files
from flexifed.system.errors import UserError


def check(folder: Path, config: Path) -> None:
    """Make sure that a folder of results is not that of another study file.

    A file that is no longer there has been renamed, so the one that is given may take its place.

    Args:
        folder: Of the study, `results/{study}`.
        config: The study's own file, without overlays.

    Raises:
        UserError: it belongs to another file, which is still there.
    """
    record = folder / layout.OWNER
    if not record.exists():
        return
    owner = Path(files.read_object(record)["config"])
    if owner.exists() and not owner.samefile(config):
        raise UserError(
            f"study: {folder} holds the results of {owner}, and {config} would overwrite them. Give {config} a name of "
            f"its own (`study`, or `variant`), or remove {record} if it is to take the place of {owner}."
        )


def take(folder: Path, config: Path) -> None:
    """Note that a folder of results is that of a study file."""
    path = config.resolve()
    here = path.is_relative_to(Path.cwd())
    # Relative where it can be, so that results and configuration may move together.
    files.write_json(folder / layout.OWNER, {"config": str(path.relative_to(Path.cwd()) if here else path)})
