"""A study's configuration: closed, checked as a whole before any job starts, and resolved into cells.

Pydantic is needed here and in `flexifed.study.schemafaults` alone. `config/config.schema.json` and `config/README.md`
are generated from this module.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from flexifed.data.archives import Archive
from flexifed.settings import registry
from flexifed.settings.cell import Cell
from flexifed.settings.faults import Faults
from flexifed.settings.job import CHECKPOINT_MINUTES, Job, KeepModels
from flexifed.settings.protocol import FinalNumber, Protocol, Range
from flexifed.study import overrides, schemafaults, single, studychecks, studyfile
from flexifed.study.overrides import Layer
from flexifed.study.studyfile import Source, Sources
from flexifed.system.errors import UserError

PRESETS = registry.PACKAGE / "protocols"
_PROTOCOL = TypeAdapter(Protocol)

AUTO = "auto"
FASTEST, FASTEST_OF_SMALL = "fast", "stacked"
"""What `engine: auto` stands for, in all families, and in those that call themselves small (docs/speed.md)."""

Seed = Annotated[int, Range(ge=0)]
Number = Annotated[int | float, Range()]
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
    bytes: Annotated[int, Range()] | None = None
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
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    """Only these seeds."""


class Effect(Closed):
    """What a change does: final numbers of one protocol, strategy or data set, less those of another."""

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
    metrics: list[str] = []
    """What it is of: metrics of the task, or how evenly clients are served; none for the task's own metric."""
    strategies: list[str] = []
    """For a change of strategy: the base's, and the changed one. `protocol` and `base` may be the same then."""
    datasets: list[str] = []
    """The same for a change of data set."""


class Sweep(Closed):
    """A quantity whose value is all that the named protocols differ in: final numbers against it."""

    over: str = Field(min_length=1)
    """The quantity, e.g. `number of clients K`."""
    levels: dict[Name, Number] = Field(min_length=2)
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
    seeds: list[Seed] = Field(min_length=1)
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
    strategy_options: dict[Name, dict[str, int | float | str | bool]] = {}
    """Options, e.g. `fedprox: {mu: 0.1}`; another name says whose they are: `prox: {strategy: fedprox, mu: 1}`."""
    engine: str = AUTO
    """How a cell's clients are trained: a file of `flexifed/engines/`, or `auto` for the fastest."""
    checkpoint_minutes: Annotated[float, Range(ge=0)] = CHECKPOINT_MINUTES
    """Between two checkpoints inside a cell; 0 for one after every round. Changing it reruns nothing."""
    keep_models: KeepModels = "none"
    """Leave the models of the last or best round in each cell's `models/` (docs/models.md); trains what lacks them."""
    tensorboard: bool = False
    """A live view: running cells write event files (docs/live.md); needs `tensorboard`. Changing it reruns nothing."""
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
        return str(self.protocols[protocol].get("preset", protocol))

    @staticmethod
    def presets() -> list[str]:
        """The presets that there are."""
        return sorted(path.stem for path in PRESETS.glob("*.yaml"))

    def layers(self, protocol: str, dataset: str | None = None) -> list[Layer]:
        """What a protocol is made of, for a data set: each layer wins over those before it."""
        own = {key: value for key, value in self.protocols[protocol].items() if key != "preset"}
        layers = [
            Layer((), _preset(self.preset(protocol))),
            Layer(("protocols", protocol), own),
            Layer(("all_protocols",), self.all_protocols),
        ]
        if dataset:
            layers.append(Layer(("datasets", dataset, "optimiser"), self.dataset(dataset).optimiser, ("optimiser",)))
        return layers

    def protocol(self, name: str, dataset: str | None = None, final: Mapping[str, Any] | None = None) -> Protocol:
        """The resolved protocol, with `final` over its own."""
        layers = [*self.layers(name, dataset), Layer((), final or {}, ("final",))]
        protocol: Protocol = _PROTOCOL.validate_python(overrides.resolved(layers))
        return protocol

    def final(self, effect: Effect) -> FinalNumber:
        """The rule for the changed protocol's final number."""
        return self.protocol(effect.protocol, final=effect.final).final

    def family_options(self, family: str, protocol: str) -> dict[str, Any]:
        """The options of a family under a protocol: the study's, then the protocol's."""
        return {**self.families.get(family, {}), **self.protocol(protocol).family_options.get(family, {})}

    def strategy(self, name: str) -> tuple[str | None, dict[str, Any]]:
        """The file of a strategy, None where it is called after it, and its options."""
        options = dict(self.strategy_options.get(name, {}))
        file = options.pop("strategy", None)
        return (None if file is None else str(file)), options

    @staticmethod
    def engines() -> list[str]:
        """What `engine` may be."""
        return [AUTO, *registry.names("engine")]

    def engine_name(self, family: str) -> str:
        """The engine for a family, also where the study leaves the choice to us."""
        if self.engine != AUTO:
            return self.engine
        return FASTEST_OF_SMALL if registry.constant("family", family, "SMALL", False) else FASTEST

    def job(self, cell: Cell) -> Job:
        """The cell with all that its training depends on."""
        strategy, strategy_options = self.strategy(cell.strategy)
        return Job(
            cell=cell,
            protocol=self.protocol(cell.protocol, cell.dataset),
            family_options=self.family_options(cell.family, cell.protocol),
            engine=self.engine_name(cell.family),
            precision=self.precision,
            strategy=strategy,
            strategy_options=strategy_options,
        )

    def run(self, cell: Cell) -> single.Run:
        """The cell with its data's source: all that it takes to run it where a study cannot be read."""
        settings, archives = self.dataset(cell.dataset), self.archives(cell.dataset)
        source = single.Source(settings.local, tuple(archives) if archives else None, settings.options, self.downloads)
        job, minutes = self.job(cell), self.checkpoint_minutes
        return single.Run(self.name, job, source, minutes, self.keep_models, self.tensorboard)


@lru_cache
def _preset(name: str) -> dict[str, Any]:
    """A preset's settings; none where there is no such preset. Kept, since a study asks for them once for each cell."""
    if name not in Study.presets():
        return {}
    preset: dict[str, Any] = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    return preset


def parse(values: Mapping[str, Any], sources: Sequence[Source] = ()) -> Study:
    """Check a study's configuration as a whole.

    Args:
        values: the configuration.
        sources: the files that it comes from, for errors to name; a later one wins over an earlier one.

    Raises:
        UserError: a line for each fault, in the order of the files: its place, what was found, what is known or
            expected, and the nearest known name.
    """
    origin = Sources(sources)
    study: Study
    study, found = schemafaults.read(Study, values)
    faults = Faults(found)
    faults.add(studychecks.every(study))
    faults.check(values, origin)
    return study


def read(path: Path, *overlays: Path) -> Study:
    """Read and check a study's YAML file, with overlays that win over it, as Snakemake merges several `--configfile`.

    Raises:
        UserError: a file is not there, is not YAML, or they do not describe a study; the message begins with a name.
    """
    files = (path, *overlays)
    sources = [studyfile.read(file) for file in files]
    try:
        return parse(Sources(sources).values(), sources)
    except UserError as error:
        if not (more := str(error).count("\n")):
            raise
        raise UserError(f"{' with '.join(map(str, files))}: {more + 1} faults:\n{error}") from None
