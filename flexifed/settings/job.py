"""A cell with everything that it is resolved to: what decides whether it is up to date, and what `run.json` records."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from flexifed.settings import codedigest, registry
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Devices, Protocol, from_dict
from flexifed.system import files
from flexifed.system.errors import UserError

CHECKPOINT_MINUTES = 10.0
"""Between two checkpoints of a run, unless the study says otherwise."""

KeepModels = Literal["none", "final", "best"]
"""What a study may ask for: nothing; the models of the last round; those of the evaluated round with the highest mean
of the task's metric over all clients, tested in `eval()`, in the phase of the protocol's final number (the first one
of equals)."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One training run, resolved."""

    cell: Cell
    protocol: Protocol
    family_options: Mapping[str, Any]
    engine: str
    precision: str = "float32"
    strategy: str | None = None
    """The file of strategies; None for the one that the cell's strategy is called after."""
    strategy_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def strategy_file(self) -> str:
        """The file of `flexifed/strategies/`."""
        return self.strategy or self.cell.strategy

    @property
    def task(self) -> str:
        """What the data set asks, a file of `flexifed/tasks/`."""
        return registry.task(self.cell.dataset)

    def settings(self) -> dict[str, Any]:
        """The settings that training depends on, ready for JSON.

        The rule for the final number is not one of them, and the protocol's options of families are among the cell's.
        """
        return _training_only(
            {
                "protocol": dataclasses.asdict(self.protocol),
                "family_options": dict(self.family_options),
                "engine": self.engine,
                "precision": self.precision,
                "strategy": self.strategy,
                "strategy_options": dict(self.strategy_options),
            }
        )

    def is_recorded_as(self, settings: Mapping[str, Any]) -> bool:
        """Whether the settings in a run record, which hold more of the protocol, are those of this job."""
        try:
            return through_defaults(settings) == _plain(self.settings())
        except UserError:  # a key or value that is no longer known
            return False

    def is_up_to_date(self, path: Path) -> bool:
        """Whether the run record at `path` is of these settings and the present code; False for a damaged one."""
        try:
            record = files.read_object(path)
            return bool(record["digests"]["code"] == self.code() and self.is_recorded_as(record["settings"]))
        except (UserError, KeyError, TypeError, AttributeError):
            return False

    def identity(self, path: Path) -> dict[str, Any]:
        """The settings and the code digest that Snakemake compares with those of the last run.

        Where the run record at `path` is up to date, they are given as the record has them: a key that has come since,
        and whose value is its default, is no reason to train again.
        """
        if self.is_up_to_date(path):
            record = files.read_object(path)
            return {"settings": _training_only(record["settings"]), "code": record["digests"]["code"]}
        return {"settings": _plain(self.settings()), "code": self.code()}

    @classmethod
    def from_settings(cls, cell: Cell, settings: Mapping[str, Any]) -> "Job":
        """The inverse of `settings`; keys that are not there have their defaults.

        Raises:
            UserError: the protocol has a key that is not known, or a value that it cannot have.
        """
        protocol = from_dict(Protocol, settings["protocol"])
        more = {key: settings[key] for key in ("precision", "strategy", "strategy_options") if key in settings}
        return cls(cell, protocol, settings["family_options"], settings["engine"], **more)

    def code(self) -> str:
        """Digest of the code the training depends on: the core, its engine, its family, its data set's transform and
        task, and what the strategy says of the choice of participants, of the server and of the objective.

        How the data were prepared and dealt, and who shares what, is represented by its outcome: samples, partition
        and plan, each with a digest of its own.
        """
        return codedigest.digest(*self.roots())

    def roots(self) -> tuple[str, ...]:
        """Where the code that the training depends on begins, see `flexifed.settings.codedigest`."""
        return (
            "flexifed.training.federation:assemble",
            "flexifed.training.rounds:loop",
            "flexifed.training.precision:applied",
            f"flexifed.engines.{self.engine}:create",
            *(f"flexifed.models.{self.cell.family}:{name}" for name in ("VERSIONS", "build", "initialise")),
            f"flexifed.datasets.{self.cell.dataset}:TRANSFORM",
            f"flexifed.tasks.{self.task}:TASK",
            *(
                f"flexifed.strategies.{self.strategy_file}:{function}"
                for function in registry.functions("strategy", self.strategy_file)
                if function != "groups"  # its outcome is the plan
            ),
        )

    def partition_code(self) -> str:
        """Digest of the code that the job's partition depends on."""
        return partition_code(self.protocol.partition.partitioner)


def devices_code(devices: Devices) -> str:
    """Digest of the code that the devices of a protocol depend on."""
    return codedigest.digest(
        "flexifed.devices.fleet:draw",
        f"flexifed.devices.capacity.{devices.capacity}:capacities",
        f"flexifed.devices.availability.{devices.availability}:spells",
    )


def partition_code(partitioner: str) -> str:
    """Digest of the code that partitions made by a partitioner depend on."""
    return codedigest.digest("flexifed.data.partition:partition", f"flexifed.partitioners.{partitioner}:partition")


RECORDED_ONLY = ("final", "family_options")
"""Keys of the protocol that training does not depend on: a rule for tables, and what is among the cell's options."""


def _training_only(settings: Mapping[str, Any]) -> dict[str, Any]:
    protocol = {key: value for key, value in settings["protocol"].items() if key not in RECORDED_ONLY}
    return {**settings, "protocol": protocol}


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def through_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded settings as today's code would record them: keys that have come since have their defaults.

    Raises:
        UserError: a key or value of the protocol is no longer known.
    """
    return _plain(Job.from_settings(Cell("", "", "", "", 0), settings).settings())
