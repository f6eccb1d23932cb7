"""A cell with everything that it is resolved to: what decides whether it is up to date, and what `run.json` records."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flexifed import codedigest
from flexifed.cell import Cell
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
        """The settings that training depends on, ready for JSON. The rule for the final number is not one of them."""
        protocol = dataclasses.asdict(self.protocol)
        del protocol["final"]
        return {
            "protocol": protocol,
            "family_options": dict(self.family_options),
            "engine": self.engine,
            "precision": self.precision,
        }

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
