"""A cell with everything that it is resolved to: what decides whether it is up to date, and what `run.json` records."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flexifed import codedigest, files
from flexifed.cell import Cell
from flexifed.errors import UserError
from flexifed.protocol import Protocol, from_dict

CHECKPOINT_MINUTES = 10.0
"""Between two checkpoints of a run, unless the study says otherwise."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One training run, resolved."""

    cell: Cell
    protocol: Protocol
    family_options: Mapping[str, Any]
    engine: str
    precision: str = "float32"

    def settings(self) -> dict[str, Any]:
        """The settings that training depends on, ready for JSON.

        The rule for the final number is not one of them, and the protocol's options of families are among the cell's.
        """
        protocol = dataclasses.asdict(self.protocol)
        del protocol["final"], protocol["family_options"]
        return {
            "protocol": protocol,
            "family_options": dict(self.family_options),
            "engine": self.engine,
            "precision": self.precision,
        }

    def is_recorded_as(self, settings: Mapping[str, Any]) -> bool:
        """Whether the settings in a run record, which hold more of the protocol, are those of this job."""
        ours = json.loads(json.dumps(self.settings()))
        protocol = {key: value for key, value in settings["protocol"].items() if key in ours["protocol"]}
        return bool(ours == {**settings, "protocol": protocol})

    def is_up_to_date(self, path: Path) -> bool:
        """Whether the run record at `path` is of these settings and the present code; False for a damaged one."""
        try:
            record = files.read_object(path)
            return bool(record["digests"]["code"] == self.code() and self.is_recorded_as(record["settings"]))
        except (UserError, KeyError, TypeError, AttributeError):
            return False

    @classmethod
    def from_settings(cls, cell: Cell, settings: Mapping[str, Any]) -> "Job":
        """The inverse of `settings`."""
        protocol = from_dict(Protocol, settings["protocol"])
        return cls(cell, protocol, settings["family_options"], settings["engine"], settings["precision"])

    def code(self) -> str:
        """Digest of the code the training depends on: the core, its engine, its family and its data set."""
        return codedigest.digest(
            "flexifed.federation",
            f"flexifed.engines.{self.engine}",
            f"flexifed.models.{self.cell.family}",
            f"flexifed.datasets.{self.cell.dataset}",
        )

    def partition_code(self) -> str:
        """Digest of the code that the job's partition depends on."""
        partitioner = self.protocol.partition.partitioner
        return codedigest.digest("flexifed.partition", f"flexifed.partitioners.{partitioner}")
