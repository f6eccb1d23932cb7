"""Which data sets are here, and what the others would download."""

from pathlib import Path
from types import ModuleType

from flexifed.data.source import is_bundled, locate
from flexifed.doctor.finding import Finding, size
from flexifed.settings import layout, registry
from flexifed.system.errors import UserError

DOWNLOADS, LOCAL = Path("downloads"), Path("local-data")
"""Where studies look unless they say otherwise, relative to the working directory."""


def findings() -> list[Finding]:
    """A finding for each data set."""
    return [Finding(name, _where(name, registry.load("dataset", name))) for name in registry.names("dataset")]


def _where(name: str, module: ModuleType) -> str:
    if is_bundled(module):
        origin: str = module.ORIGIN
        return origin
    places = [*_prepared(name), *_archives(name, module), *_copy(module)]
    return "; ".join(places) if places else _missing(module)


def _prepared(name: str) -> list[str]:
    cards = sorted(Path(layout.RESULTS).glob(f"*/{layout.DATA.format(dataset=name)}/card.json"))
    return [f"prepared in {cards[0].parent}"] if cards else []


def _archives(name: str, module: ModuleType) -> list[str]:
    """The archives where all of them are there; their digests are looked at when a study uses them."""
    whole = bool(module.ARCHIVES) and all((DOWNLOADS / name / a.file).exists() for a in module.ARCHIVES)
    return [f"downloaded to {DOWNLOADS / name}"] if whole else []


def _copy(module: ModuleType) -> list[str]:
    try:
        return [f"a local copy in {locate(LOCAL, module.FOLDER, module.FILES)}"]
    except UserError:
        return []


def _missing(module: ModuleType) -> str:
    if not module.ARCHIVES:
        return f"not here: a study names a folder with {', '.join(module.FILES)}"
    known = [archive.bytes for archive in module.ARCHIVES if archive.bytes is not None]
    amount = size(sum(known)) if len(known) == len(module.ARCHIVES) else "files whose size is not known beforehand"
    return f"not here: a study that uses it downloads {amount}"
