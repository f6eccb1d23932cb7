"""What a protocol fixes: clients, partition, rounds, local training, averaging, evaluation, the final number.

Plain frozen dataclasses, because the training core must run where only torch, pandas and pyarrow are installed;
`flexifed.config` checks the same classes with pydantic when it reads a study. Presets are the files `protocols/*.yaml`.
"""

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, ClassVar, Literal, get_type_hints


@dataclass(frozen=True)
class Range:
    """Bounds of a number, understood by pydantic (and its JSON schema) without importing it here."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        bounds = {k: v for k, v in vars(self).items() if v is not None}
        return {**handler(source), **bounds}


Count = Annotated[int, Range(ge=1)]
Phase = Literal["local", "aggregated"]


class Closed:
    """Marks a dataclass as closed for pydantic: an unknown key is an error."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "use_attribute_docstrings": True}


@dataclass(frozen=True, kw_only=True)
class Partition(Closed):
    """How samples are dealt to clients."""

    partitioner: str = "iid"
    """A file of `flexifed/partitioners/`."""
    options: dict[str, int | float | str | bool] = field(default_factory=dict)
    """The partitioner's own options, e.g. `{parts: 20}`."""
    order: Literal["shuffled", "index", "set"] = "shuffled"
    """Order of a client's list, which slices walk: a seeded shuffle; by index; or that of a Python set (authors)."""


@dataclass(frozen=True, kw_only=True)
class Optimiser(Closed):
    """Local SGD."""

    learning_rate: Annotated[float, Range(gt=0)] = 0.01
    """Step size; constant over the rounds."""
    momentum: Annotated[float, Range(ge=0, lt=1)] = 0.9
    """Momentum, without dampening or Nesterov."""
    weight_decay: Annotated[float, Range(ge=0)] = 5e-4
    """L2 penalty added to the gradient of every trainable tensor."""
    state: Literal["new", "kept"] = "new"
    """The momentum begins at zero in each round (authors' code), or is kept by the client over the rounds."""


@dataclass(frozen=True, kw_only=True)
class FinalNumber(Closed):
    """Which number of a curve enters the tables. Changing it trains nothing again."""

    phase: Phase = "aggregated"
    """After aggregation, or after local training and before it."""
    mode: Literal["eval", "train"] = "eval"
    """Accuracy in `eval()`, or in training mode as the authors' script measures it."""
    clients: Literal["all", "first"] = "all"
    """A version's number is the mean over all of its clients, or that of its first client (a reproduction)."""
    rule: Literal["last_fraction", "last_rounds", "last", "best"] = "last_fraction"
    """Mean over the last `fraction` of the rounds, or the last `rounds` rounds; the last value; the best value."""
    fraction: Annotated[float, Range(gt=0, le=1)] = 0.1
    """For `last_fraction`; at least one evaluated round is used."""
    rounds: Count = 50
    """For `last_rounds`."""
    decimals: Literal[None, 2] = None
    """2 rounds every accuracy (a fraction of 1) to 0.01 first, as the authors' script does."""


@dataclass(frozen=True, kw_only=True)
class Protocol(Closed):
    """A complete protocol; the defaults are the preset `official`."""

    clients: Count = 8
    """Number of clients, the same number of each version, in order: the first ones hold the first version."""
    versions: tuple[str, ...] = ("V1", "V2", "V3", "V4")
    """The versions of the family that take part, shallow to deep."""
    partition: Partition = field(default_factory=lambda: Partition(options={"parts": 20}))
    """How samples are dealt to clients."""
    test_set: Literal["shard", "whole"] = "shard"
    """A client is tested on its own shard of the test set (authors' code), or on all of it."""
    slices: Count = 10
    """In each round a client trains on the next of this many slices of its list, walking round and round."""
    slice_pointer: Literal["walking", "frozen", "wraps_at_2500"] = "walking"
    """Or always the first slice (a reproduction's committed code); or wrapping at sample 2,500 (authors' code)."""
    rounds: Count = 502
    """Communication rounds: local training, then aggregation."""
    local_epochs: Count = 10
    """Passes over the slice in one round."""
    batch_size: Count = 64
    """Samples per SGD step; the last batch of a pass may be smaller."""
    shuffle: bool = True
    """Shuffle the slice anew in every local epoch."""
    optimiser: Optimiser = field(default_factory=Optimiser)
    """Local SGD."""
    initial_weights: Literal["per_version", "per_client", "common"] = "per_version"
    """Equal per version; or per client (authors' code); or equal in all common layers, too (paper, Algorithm 3)."""
    classifier: Literal["same_architecture", "none", "all"] = "same_architecture"
    """Averaging of fully connected layers: as the strategy says, never, or also across versions (paper, Table 3)."""
    normalisation: Literal["averaged", "local"] = "averaged"
    """Batch normalisation is averaged with its layer, or stays with the client as in FedBN."""
    common_layers: Annotated[int, Range(ge=0)] | None = None
    """Versions share at most this many layers, counted from the input; what is deeper counts as different."""
    averaging: Literal["uniform", "samples"] = "uniform"
    """Plain mean (paper), or weighted by the clients' numbers of training samples."""
    test_updates_statistics: bool = False
    """The test in training mode moves the running statistics of the model that is trained next (authors' code)."""
    evaluate_every: Count = 1
    """Evaluate in every n-th round and in the last."""
    final: FinalNumber = field(default_factory=FinalNumber)
    """The number that enters the tables."""
    family_options: dict[str, dict[str, int | float | str | bool]] = field(default_factory=dict)
    """By family, options that win over the study's `families`, e.g. `{vgg: {dropout: after}}`."""

    def client_versions(self) -> tuple[str, ...]:
        """The version of each client, `[clients]`: equal numbers of each, in order (authors' script: two of each)."""
        return tuple(v for v in self.versions for _ in range(self.clients // len(self.versions)))


def from_dict(cls: type, values: dict[str, Any]) -> Any:
    """Rebuild a (nested) dataclass from `dataclasses.asdict` output that went through JSON.

    The values are trusted: they were checked by `flexifed.config` when the study was read.
    """
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    assert set(values) <= known, f"{cls.__name__} has no {sorted(set(values) - known)}"

    def value(name: str) -> Any:
        if is_dataclass(hints[name]):
            return from_dict(hints[name], values[name])
        return tuple(values[name]) if isinstance(values[name], list) else values[name]

    return cls(**{name: value(name) for name in values})
