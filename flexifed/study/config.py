"""A study's configuration: closed, checked as a whole before any job starts, and resolved into cells.

The only module that needs pydantic. `config/config.schema.json` and `config/README.md` are generated from it.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from flexifed.data.archives import Archive
from flexifed.data.source import wrong_source
from flexifed.settings import checks, registry
from flexifed.settings.cell import Cell
from flexifed.settings.job import CHECKPOINT_MINUTES, Job
from flexifed.settings.protocol import FinalNumber, Protocol
from flexifed.study.single import Run, Source
from flexifed.system.errors import UserError

PRESETS = registry.PACKAGE / "protocols"
_PROTOCOL = TypeAdapter(Protocol)

AUTO = "auto"
FASTEST = "fast"
"""What `engine: auto` stands for: the fastest in every family and on every device measured (docs/speed.md)."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Closed(BaseModel):
    """A frozen model in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ArchiveSettings(Closed):
    """An archive to use instead of the official one, e.g. from a mirror of your own."""

    file: str
    """File name, as the official archive is called."""
    urls: list[str] = Field(min_length=1)
    """Addresses, tried in turn."""
    bytes: int | None = None
    """Exact size."""
    sha256: str
    """Digest the file must have."""


class DatasetSettings(Closed):
    """Where a data set comes from and what is special about training on it."""

    local: str | None = None
    """A folder with the data set in its official layout, used instead of the archives and recorded as not verified."""
    archives: Annotated[list[ArchiveSettings], Field(min_length=1)] | None = None
    """Archives that replace the official ones."""
    options: dict[str, int | float | str | bool] = {}
    """Options of the data set's `prepare` function."""
    optimiser: dict[str, Any] = {}
    """Overrides of the protocol's `optimiser` for this data set, e.g. `{learning_rate: 0.001}`."""


class Block(Closed):
    """A part of the grid: the product of its lists. What is not given is taken from the study."""

    dataset: str
    """A file of `flexifed/datasets/`."""
    families: list[str] = Field(min_length=1)
    """Files of `flexifed/models/` that read this kind of data."""
    strategies: Annotated[list[str], Field(min_length=1)] | None = None
    """Only these strategies of `flexifed/strategies/`."""
    protocols: Annotated[list[str], Field(min_length=1)] | None = None
    """Only these of the study's protocols."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """Only these seeds."""


class Effect(Closed):
    """What a change of one factor does: the final numbers of one protocol, less those of another."""

    factor: str = Field(min_length=1)
    """What is changed, e.g. `data per client`."""
    level: str = Field(min_length=1)
    """What it is changed to; unique in the study."""
    protocol: Name
    """The protocol with the change."""
    base: Name
    """The protocol without it."""
    final: dict[str, Any] = {}
    """Overrides of the changed protocol's `final`: another reading of the same curves, which trains nothing."""
    combines: list[str] = []
    """For a change of several factors: the levels it combines, whose effects would add up if they did not interact."""


class Sweep(Closed):
    """A quantity whose value is all that the named protocols differ in: final accuracy against it."""

    over: str = Field(min_length=1)
    """The quantity, e.g. `number of clients K`."""
    levels: dict[Name, int | float] = Field(min_length=2)
    """Its value by protocol; each value once."""


class Study(Closed):
    """A whole study: the grid of cells, and the settings they are resolved from."""

    study: Name
    """Name of the study; its results land in `results/{study}/`."""
    variant: Name | None = None
    """What an overlay makes of the study; its results land in `results/{study}-{variant}/`."""
    downloads: str = "downloads"
    """Folder for downloaded archives, shared by all studies."""
    blocks: list[Block] = Field(min_length=1)
    """The grid."""
    strategies: list[str] = Field(min_length=1)
    """Strategies of every block that does not list its own."""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    """Seeds of every block that does not list its own."""
    protocols: dict[Name, dict[str, Any]] = Field(min_length=1)
    """Protocols by name: overrides of the preset of that name, or of the one named under `preset`."""
    all_protocols: dict[str, Any] = {}
    """Overrides of every protocol, which win over its own: how an overlay narrows a study, e.g. `{rounds: 8}`."""
    effects: list[Effect] = []
    """Comparisons between protocols, one factor at a time."""
    sweep: Sweep | None = None
    """Protocols along a quantity, e.g. the number of clients, of which the paper says that more is better."""
    stand_ins: dict[str, str] = {}
    """Data sets used in place of others in every block, e.g. `{cinic10: cifar10}` where there is no CINIC-10."""
    datasets: dict[str, DatasetSettings] = {}
    """Settings by data set."""
    families: dict[str, dict[str, int | float | str | bool]] = {}
    """Options of each family's `build` function, e.g. `vgg: {width: 0.25}`."""
    engine: str = AUTO
    """How a cell's clients are trained: a file of `flexifed/engines/`, or `auto` for the fastest."""
    checkpoint_minutes: float = Field(CHECKPOINT_MINUTES, ge=0)
    """Between two checkpoints inside a cell; 0 for one after every round. Changing it reruns nothing."""
    precision: str = "float32"
    """How exact training computes: `float32`, `tf32` or `bfloat16`, see `flexifed/training/precision.py`."""

    @property
    def name(self) -> str:
        """The study's name in paths and titles."""
        return f"{self.study}-{self.variant}" if self.variant else self.study

    def dataset_of(self, block: Block) -> str:
        """The data set of a block, or what stands in for it."""
        return self.stand_ins.get(block.dataset, block.dataset)

    def cells(self) -> list[Cell]:
        """Every cell of the grid, in the order of the config, without repetitions."""
        cells = (
            Cell(self.dataset_of(block), family, strategy, protocol, seed)
            for block in self.blocks
            for family in block.families
            for protocol in block.protocols or self.protocols
            for strategy in block.strategies or self.strategies
            for seed in block.seeds or self.seeds
        )
        return list(dict.fromkeys(cells))

    def dataset(self, name: str) -> DatasetSettings:
        """The settings of a data set; the defaults where the config is silent."""
        return self.datasets.get(name, DatasetSettings())

    def archives(self, dataset: str) -> list[Archive] | None:
        """The archives that replace a data set's official ones, if any."""
        settings = self.dataset(dataset).archives
        return None if settings is None else [Archive(**{**vars(a), "urls": tuple(a.urls)}) for a in settings]

    def preset(self, protocol: str) -> str:
        """The preset that a protocol starts from."""
        preset: str = self.protocols[protocol].get("preset", protocol)
        return preset

    def protocol(self, name: str, dataset: str | None = None, final: Mapping[str, Any] | None = None) -> Protocol:
        """The resolved protocol: preset, the protocol's overrides, those of all protocols, the data set's, `final`.

        Raises:
            UserError: an unknown key, preset or value, with its place in the config.
        """
        overrides = dict(self.protocols[name])
        where = f"protocols.{name}"
        preset = self.preset(name)
        overrides.pop("preset", None)
        known = sorted(p.stem for p in PRESETS.glob("*.yaml"))
        if preset not in known:
            raise UserError(f"{where}.preset: {registry.unknown('preset', preset, known)}")
        values = _merge(_preset(preset), overrides)
        if self.all_protocols:
            values = _merge(values, self.all_protocols)
            where = f"{where} (or all_protocols)"
        if dataset and self.dataset(dataset).optimiser:
            values = _merge(values, {"optimiser": dict(self.dataset(dataset).optimiser)})
            where = f"{where} (or datasets.{dataset}.optimiser)"
        values = _merge(values, {"final": dict(final or {})})
        try:
            return _PROTOCOL.validate_python(values)
        except ValidationError as error:
            raise _readable(error, where) from None

    def final(self, effect: Effect) -> FinalNumber:
        """The rule for the changed protocol's final number."""
        return self.protocol(effect.protocol, final=effect.final).final

    def family_options(self, family: str, protocol: str) -> dict[str, Any]:
        """The options of a family under a protocol: the study's, then the protocol's."""
        return {**self.families.get(family, {}), **self.protocol(protocol).family_options.get(family, {})}

    def job(self, cell: Cell) -> Job:
        """The cell with all that its training depends on."""
        return Job(
            cell=cell,
            protocol=self.protocol(cell.protocol, cell.dataset),
            family_options=self.family_options(cell.family, cell.protocol),
            engine=FASTEST if self.engine == AUTO else self.engine,
            precision=self.precision,
        )

    def run(self, cell: Cell) -> Run:
        """The cell with its data's source: all that it takes to run it where a study cannot be read."""
        settings, archives = self.dataset(cell.dataset), self.archives(cell.dataset)
        source = Source(settings.local, tuple(archives) if archives else None, settings.options, self.downloads)
        return Run(self.name, self.job(cell), source, self.checkpoint_minutes)


@lru_cache
def _preset(name: str) -> dict[str, Any]:
    """A preset's settings. Kept, since a study asks for them once for each cell."""
    preset: dict[str, Any] = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    return preset


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge of mappings; a plugin's `options` are replaced whole, since they belong to one plugin."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping) and key != "options"
        merged[key] = _merge(merged[key], value) if nested else value
    if "partitioner" in over and "options" not in over:
        merged["options"] = {}
    return merged


def _known_keys(location: tuple[Any, ...], error: ValidationError) -> list[str]:
    """The keys that are known beside an unknown one, from the schema of the model the error is about."""
    schema: dict[str, Any] = _PROTOCOL.json_schema() if error.title == "Protocol" else Study.model_json_schema()
    node = schema
    for part in location[:-1]:
        node = schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else node
        node = next((n for n in node.get("anyOf", []) if n.get("type") != "null"), node)
        if isinstance(part, int):
            node = node["items"]
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties", {})
    node = next((n for n in node.get("anyOf", []) if n.get("type") != "null"), node)
    node = schema["$defs"][node["$ref"].split("/")[-1]] if "$ref" in node else node
    return list(node.get("properties", {}))


def _readable(error: ValidationError, where: str = "") -> UserError:
    """One line for each fault: place, what was found, what is known or expected."""
    lines = []
    for fault in error.errors():
        place = ".".join([where] * bool(where) + [str(part) for part in fault["loc"]])
        if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            lines.append(f"{place}: {registry.unknown('key', fault['loc'][-1], _known_keys(fault['loc'], error))}")
        elif fault["type"] == "missing":
            lines.append(f"{place}: this key is needed and not there.")
        else:
            lines.append(f"{place}: {fault['msg']}, got {fault['input']!r}.")
    return UserError("\n".join(lines))


def _check_block(study: Study, where: str, block: Block) -> None:
    checks.names("dataset", [block.dataset], f"{where}.dataset")
    dataset = study.dataset_of(block)
    checks.names("family", block.families, f"{where}.families")
    checks.names("strategy", block.strategies or [], f"{where}.strategies")
    kind = registry.constant("dataset", dataset, "KIND")
    fitting = [f for f in registry.names("family") if registry.constant("family", f, "KIND") == kind]
    for family in set(block.families) - set(fitting):
        raise UserError(
            f"{where}.families: {family!r} does not read the {kind} samples of {dataset!r}. "
            f"Families that do: {', '.join(fitting)}."
        )
    for protocol in block.protocols or []:
        if protocol not in study.protocols:
            raise UserError(f"{where}.protocols: {registry.unknown('protocol', protocol, study.protocols)}")


def _check_sources(study: Study) -> None:
    """The data sets that are used, or have a source of their own, come in the way that the study says."""
    named = {name for name, settings in study.datasets.items() if settings.local or settings.archives}
    for name in dict.fromkeys((*sorted(named), *(cell.dataset for cell in study.cells()))):
        for key, text in wrong_source(name, study.dataset(name).local, study.archives(name)):
            raise UserError(f"datasets.{name}.{key}: {text}")


def _check_effects(study: Study) -> None:
    levels = [effect.level for effect in study.effects]
    for index, effect in enumerate(study.effects):
        with checks.at(f"effects.{index}"):
            for protocol in (effect.protocol, effect.base):
                if protocol not in study.protocols:
                    raise registry.unknown("protocol", protocol, study.protocols)
            if levels.count(effect.level) > 1:
                raise UserError(f"level: {effect.level!r} is the level of several effects; levels are unique.")
            for level in effect.combines:
                if level not in levels:
                    raise registry.unknown("level", level, levels)
                if (base := study.effects[levels.index(level)].base) != effect.base:
                    raise UserError(
                        f"combines: {level!r} has the base {base!r}, not {effect.base!r}; effects add up from one base."
                    )
            checks.final(study.final(effect))


def _check_sweep(study: Study) -> None:
    if study.sweep is None:
        return
    values = list(study.sweep.levels.values())
    used = {cell.protocol for cell in study.cells()}
    with checks.at("sweep.levels"):
        for protocol, value in study.sweep.levels.items():
            if protocol not in study.protocols:
                raise registry.unknown("protocol", protocol, study.protocols)
            if protocol not in used:
                raise UserError(f"{protocol}: no block of the study has this protocol.")
            if values.count(value) > 1:
                raise UserError(f"{protocol}: {value} is the value of several protocols; each has one of its own.")


def _check_engine(study: Study) -> None:
    names = registry.names("engine")
    if study.engine not in (AUTO, *names):
        raise UserError(f"engine: {registry.unknown('engine', study.engine, (AUTO, *names))}")
    checks.engine(FASTEST if study.engine == AUTO else study.engine, study.precision)


def parse(values: Mapping[str, Any]) -> Study:
    """Check a study's configuration as a whole.

    Raises:
        UserError: naming each faulty key, what is known or expected, and the nearest known name.
    """
    try:
        study = Study.model_validate(values)
    except ValidationError as error:
        raise _readable(error) from None
    checks.names("strategy", study.strategies, "strategies")
    _check_engine(study)
    checks.names("dataset", study.datasets, "datasets")
    checks.names("family", study.families, "families")
    checks.names("dataset", study.stand_ins, "stand_ins")
    for replaced, stand_in in study.stand_ins.items():
        checks.names("dataset", [stand_in], f"stand_ins.{replaced}")
    for index, block in enumerate(study.blocks):
        _check_block(study, f"blocks.{index}", block)
    for name, settings in study.datasets.items():
        with checks.at(f"datasets.{name}.options"):
            registry.check_options("dataset", name, "prepare", settings.options)
    for family, options in study.families.items():
        with checks.at(f"families.{family}"):
            registry.check_options("family", family, "build", options)
    for name in study.protocols:
        study.protocol(name)  # also those that no block has
    for name, dataset, family in dict.fromkeys((c.protocol, c.dataset, c.family) for c in study.cells()):
        protocol = study.protocol(name, dataset)
        with checks.at(f"protocols.{name}"):
            checks.protocol(protocol, family)
    _check_sources(study)
    _check_effects(study)
    _check_sweep(study)
    return study


def read(path: Path, *overlays: Path) -> Study:
    """Read and check a study's YAML file, with overlays that win over it, as Snakemake merges several `--configfile`.

    Raises:
        UserError: a file is not there, is not YAML, or they do not describe a study; the message begins with its name.
    """
    values: dict[str, Any] = {}
    for file in (path, *overlays):
        values = _overlaid(values, _mapping(file))
    try:
        return parse(values)
    except UserError as error:
        raise UserError(f"{' with '.join(map(str, (path, *overlays)))}: {error}") from None


def _mapping(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: a study is a mapping of keys, see config/README.md")
    return values


def _overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key, everything else is replaced (`snakemake.utils.update_config`)."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _overlaid(merged[key], value) if nested else value
    return merged
