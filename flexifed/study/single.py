"""One cell from nothing to its history, without Snakemake, into the places where the workflow looks.

A `Run` holds all that it takes and can be written as JSON, so that a cell can be resolved where a study is read (which
needs pydantic) and run on a machine that has PyTorch and little else.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from flexifed.data.archives import Archive
from flexifed.data.source import wrong_source
from flexifed.settings import checks, layout, registry
from flexifed.settings.cell import Cell
from flexifed.settings.faults import Fault, Faults
from flexifed.settings.job import CHECKPOINT_MINUTES, Job, KeepModels
from flexifed.settings.protocol import Devices, from_dict
from flexifed.system import files, locks
from flexifed.system.errors import UserError
from flexifed.system.progress import rounds

if TYPE_CHECKING:
    from flexifed.devices.fleet import Fleet
    from flexifed.elastic.budgets import Table
    from flexifed.sharing.plan import Plan


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set comes from, see `flexifed.study.config.DatasetSettings`; `downloads` is for archives."""

    local: str | None
    archives: tuple[Archive, ...] | None
    options: Mapping[str, Any]
    downloads: str


@dataclasses.dataclass(frozen=True)
class Run:
    """A cell of a study, resolved, with the source of its data."""

    study: str
    job: Job
    source: Source
    checkpoint_minutes: float = CHECKPOINT_MINUTES
    keep_models: KeepModels = "none"
    tensorboard: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "study": self.study,
            "cell": dataclasses.asdict(self.job.cell),
            "settings": {**self.job.settings(), "protocol": dataclasses.asdict(self.job.protocol)},
            "source": dataclasses.asdict(self.source),
            "checkpoint_minutes": self.checkpoint_minutes,
            **({} if self.keep_models == "none" else {"keep_models": self.keep_models}),
            **({"tensorboard": True} if self.tensorboard else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Run":
        """The inverse of `to_json`.

        Raises:
            UserError: a value is not one that `to_json` writes; its place is named.
        """
        for key, kind in (("study", str), ("cell", Mapping), ("settings", Mapping), ("source", Mapping)):
            if not isinstance(values.get(key), kind):
                raise UserError(f"{key}: expected {kind.__name__}, got {values.get(key)!r}.")
        cell, source = from_dict(Cell, values["cell"], "cell"), from_dict(Source, values["source"], "source")
        settings = values["settings"]
        for key, kind in (("protocol", Mapping), ("family_options", Mapping), ("engine", str), ("precision", str)):
            if not isinstance(settings.get(key), kind):
                raise UserError(f"settings.{key}: expected {kind.__name__}, got {settings.get(key)!r}.")
        if not isinstance(settings.get("strategy_options", {}), Mapping):
            raise UserError(f"settings.strategy_options: expected Mapping, got {settings['strategy_options']!r}.")
        for name in (values["study"], cell.protocol):
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise UserError(f"{name!r} cannot be the name of a study or protocol: letters, digits, - and _ can.")
        if cell.seed < 0:
            raise UserError(f"cell.seed: expected 0 or more, got {cell.seed}.")
        job = Job.from_settings(cell, settings)
        Faults(_faults(job, source)).check(values)
        minutes = values.get("checkpoint_minutes")
        if not isinstance(minutes, int | float) or not minutes >= 0:
            raise UserError(f"checkpoint_minutes: expected 0 or more, got {minutes!r}.")
        keep_models = values.get("keep_models", "none")
        if keep_models not in (known := get_args(KeepModels)):
            raise registry.unknown("keep_models", keep_models, known)
        Faults(checks.kept_models(keep_models, [cell.family], [job.protocol])).check(values)
        tensorboard = values.get("tensorboard", False)
        if not isinstance(tensorboard, bool):
            raise UserError(f"tensorboard: expected true or false, got {tensorboard!r}.")
        return cls(values["study"], job, source, minutes, keep_models, tensorboard)


def _faults(job: Job, source: Source) -> Iterator[Fault]:
    """Names and options that are not known or do not fit, at their places in a `Run`'s JSON."""
    cell = job.cell
    for plugin in ("dataset", "family"):
        yield from checks.name(plugin, getattr(cell, plugin), "cell", plugin)
    named = ("cell", "strategy") if job.strategy is None else ("settings", "strategy")
    yield from checks.name("strategy", job.strategy_file, *named)
    yield from checks.options("strategy", job.strategy_file, job.strategy_options, "settings", "strategy_options")
    yield from checks.strategy(job.strategy_file, job.protocol, *named)
    for fault in checks.members(job.strategy_file, job.strategy_options, [cell.family], job.protocol):
        yield Fault(("cell", "family"), fault.text)
    yield from checks.options("dataset", cell.dataset, source.options, "source", "options")
    if cell.dataset in registry.names("dataset"):
        for key, text in wrong_source(cell.dataset, source.local, source.archives):
            yield Fault(("source", key), text)
    yield from checks.options("family", cell.family, job.family_options, "settings", "family_options")
    for fault in checks.engine(job.engine, job.precision):
        yield fault.under("settings")
    for fault in checks.protocol(job.protocol, [cell.family]):
        yield fault.under("settings", "protocol")


def run(run: Run, device: str | None = None) -> Path:
    """Run what is missing before the cell, then the cell itself, even where it has been run before.

    Returns:
        The cell's folder, with `history.parquet`, `run.json`, and the models that the study keeps.

    Raises:
        UserError: as the stages do.
        Interrupted: a signal asked the cell to stop; run it again to go on.
    """
    if run.tensorboard:
        from flexifed.training import live

        live.check()
    root, job = layout.study_folder(run.study), run.job
    plan_pattern = layout.plan(job.protocol)
    receipt, prepared, partition_file, plan_file, devices_file, out = (
        root / pattern.format(**vars(job.cell))
        for pattern in (layout.SOURCE, layout.DATA, layout.PARTITION, plan_pattern, layout.DEVICES, layout.CELL)
    )
    with locks.held(prepared.with_suffix(".lock")):  # cells that start side by side share their data
        prepare(job.cell.dataset, run.source, receipt, prepared)
    make_partition(job, prepared, partition_file)
    masks_file = make_elastic(job, prepared, root) if job.protocol.budgets else None
    make_plan(job, plan_file, root)
    if devices := job.protocol.devices:
        wanted = job.protocol.cohort_size()
        make_devices(devices, clients=job.protocol.clients, wanted=wanted, seed=job.cell.seed, out=devices_file)

    import torch  # only now: the stages above fail faster without it

    from flexifed.training.run import Inputs, run_cell

    with rounds(str(job.cell), job.protocol.rounds, title=registry.metric_title(job.cell.dataset)) as progress:
        run_cell(
            job,
            Inputs(prepared, partition_file, plan_file, devices_file if job.protocol.devices else None, masks_file),
            out,
            progress,
            device=torch.device(device) if device else None,
            checkpoint_minutes=run.checkpoint_minutes,
            keep_models=run.keep_models,
            study=run.study,
            tensorboard=layout.tensorboard(run.study, job.cell, run.tensorboard),
        )
    return out


def is_prepared(dataset: str, source: Source, receipt: Path, out: Path) -> bool:
    """Whether the folder `out` holds the data set, prepared from the same place with the same options.

    Where there is no receipt (prepared data that came from another machine), the place is not asked for.
    """
    options = registry.keywords("dataset", dataset) | dict(source.options)
    if not (out / "card.json").exists() or files.read_json(out / "card.json")["options"] != options:
        return False
    place = Path(source.local) if source.local else Path(source.downloads) / dataset
    return not receipt.exists() or files.read_json(receipt)["path"] in (None, str(place))


def prepare(dataset: str, source: Source, receipt: Path, out: Path) -> None:
    """Prepare the data set in the folder `out`, unless it is there (see `is_prepared`).

    Raises:
        UserError: as download and preparation do.
    """
    from flexifed.data import prepare
    from flexifed.data.download import download

    if is_prepared(dataset, source, receipt, out):
        return
    download(
        dataset,
        local=Path(source.local) if source.local else None,
        archives=source.archives,
        downloads=Path(source.downloads),
        receipt=receipt,
    )
    prepare.prepare(dataset, receipt=receipt, options=source.options, out=out)


def make_partition(job: Job, prepared: Path, out: Path) -> None:
    """Write the job's partition."""
    from flexifed.data.partition import partition

    protocol = job.protocol
    partition(
        prepared,
        protocol.partition,
        clients=protocol.clients,
        test_set=protocol.test_set,
        seed=job.cell.seed,
        out=out,
    )


def make_devices(devices: Devices, *, clients: int, wanted: int, seed: int, out: Path) -> None:
    """Write the devices of a protocol; arguments and errors as those of `draw_devices`."""
    from flexifed.devices import fleet

    fleet.write(out, draw_devices(devices, clients=clients, wanted=wanted, seed=seed))


def draw_devices(devices: Devices, *, clients: int, wanted: int, seed: int) -> "Fleet":
    """The devices of a protocol.

    Args:
        devices: what they are.
        clients: how many.
        wanted: participants of a round.
        seed: of the cell.

    Raises:
        UserError: a table or trace of devices cannot be read or is too small, or fewer clients than a round wants are
            available at any time.
    """
    from flexifed.devices import clock, fleet

    drawn = fleet.draw(
        devices.capacity,
        devices.capacity_options,
        devices.availability,
        devices.availability_options,
        clients=clients,
        seed=seed,
        order=devices.order,
    )
    clock.Clock(drawn).wait_for(wanted)
    return drawn


def make_elastic(job: Job, prepared: Path, root: Path) -> Path | None:
    """Write the job's table of budgets and, where single values are cut, its masks, whose path is returned.

    Args:
        job: whose protocol has budgets.
        prepared: folder of the prepared data set.
        root: folder of the study's results.
    """
    from flexifed.data import samples
    from flexifed.elastic import budgets

    cell = job.cell
    budgets.write(table_of(job, samples.read_card(prepared)), root / layout.BUDGETS.format(**vars(cell)))
    if not budgets.needs_masks([(job.strategy_file, job.strategy_options)]):
        return None
    out = root / layout.MASKS.format(**vars(cell))
    make_masks(job, prepared, out)
    return out


def make_masks(job: Job, prepared: Path, out: Path) -> None:
    """Write the masks of the largest version of a job's family."""
    from flexifed.elastic import pruning

    assert job.protocol.budgets is not None
    pruning.make_masks(job, prepared, job.protocol.budgets.pruning, out)


def table_of(job: Job, card: Mapping[str, Any]) -> "Table":
    """A job's table of budgets, for samples as the card of a prepared data set describes them."""
    from flexifed.elastic import budgets

    shape, classes = tuple(card["shape"]), len(card["classes"])
    return budgets.look_up(job.cell.family, shape, classes, job.family_options, job.protocol)


def make_plan(job: Job, out: Path, root: Path | None = None) -> None:
    """Write the job's plan; with budgets, from the table below the folder `root` of the study's results."""
    from flexifed.sharing import plan, planning

    if job.protocol.budgets:
        from flexifed.elastic import budgets

        assert root is not None
        plan.write(elastic_plan(job, budgets.read(root / layout.BUDGETS.format(**vars(job.cell)))), out)
        return
    made = planning.for_family(
        job.cell.family,
        job.strategy_file,
        versions=job.protocol.client_versions(),
        classifier=job.protocol.classifier,
        common_layers=job.protocol.common_layers,
        options=job.family_options,
        strategy_options=job.strategy_options,
    )
    plan.write(made, out)


def elastic_plan(job: Job, table: "Table") -> "Plan":
    """The plan of a job whose clients hold what they can afford, by the table of budgets."""
    from flexifed.elastic import budgets
    from flexifed.sharing import planning

    return planning.for_members(
        job.cell.family,
        job.strategy_file,
        tiers=job.protocol.client_versions(),
        members=budgets.members(table, job.strategy_file, job.strategy_options),
        shape=table.shape,
        classes=table.classes,
        classifier=job.protocol.classifier,
        common_layers=job.protocol.common_layers,
        options=job.family_options,
        strategy_options=job.strategy_options,
    )
