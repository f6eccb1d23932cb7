"""What a protocol fixes: clients, partition, rounds, local training, averaging, evaluation, the final number.

Plain frozen dataclasses, because the training core must run where only torch, pandas and pyarrow are installed;
`flexifed.study.config` checks the same classes with pydantic when it reads a study. Presets: `protocols/*.yaml`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from flexifed.system.errors import UserError


@dataclass(frozen=True)
class Range:
    """Marks a number, with bounds or without, for pydantic (and its JSON schema), which is not imported here.

    To Python, and to pydantic, a boolean is a number; to us it is not.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        number = handler(source) | {k: v for k, v in vars(self).items() if v is not None}
        wanted = "a whole number" if number["type"] == "int" else "a number"

        def no_boolean(value: Any) -> Any:
            if isinstance(value, bool):
                raise ValueError(wanted)
            return value

        return {
            "type": "function-before",
            "function": {"type": "no-info", "function": no_boolean},
            "schema": number,
        }

    def holds(self, value: float) -> bool:
        """Whether a number is within the bounds; no bounds hold NaN."""
        low = (self.ge is None or value >= self.ge) and (self.gt is None or value > self.gt)
        return low and (self.le is None or value <= self.le) and (self.lt is None or value < self.lt)


Count = Annotated[int, Range(ge=1)]
Phase = Literal["local", "aggregated"]
Test = Literal["local", "aggregated", "train_mode"]


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
class Devices(Closed):
    """The devices that clients are on, which decide who finishes a round in time; a virtual clock counts seconds."""

    capacity: str = "equal"
    """How fast they compute and send: a file of `flexifed/devices/capacity/`."""
    capacity_options: dict[str, int | float | str | bool] = field(default_factory=dict)
    """Its own options, e.g. `{file: devices.csv}`."""
    availability: str = "always"
    """When they can be asked: a file of `flexifed/devices/availability/`."""
    availability_options: dict[str, int | float | str | bool] = field(default_factory=dict)
    """Its own options."""
    order: Literal["drawn", "slowest_first"] = "drawn"
    """Who gets which device: by chance; or the slowest ones go to the first clients, who hold the smallest models."""
    over_commit: Annotated[float, Range(ge=1)] = 1.3
    """So many times the wanted participants are invited, and the first ones to finish are kept (FedScale, Oort)."""
    stragglers: Literal["dropped", "waited_for"] = "dropped"
    """Those who finish later than the wanted number: their work is lost, or the round waits for all."""


@dataclass(frozen=True, kw_only=True)
class Pruning(Closed):
    """Iterative magnitude pruning of the largest version on a proxy set, in the cloud, before the first round."""

    fraction: Annotated[float, Range(gt=0, lt=1)] = 0.2
    """Share of the weights still there that a round of pruning removes, the smallest ones."""
    rounds: Annotated[int, Range(ge=1, le=255)] = 10
    """Rounds of pruning at most; after n of them the sparsity is 1 - (1 - fraction) ** n."""
    scope: Literal["layer", "global"] = "layer"
    """The smallest weights of each layer; or those of all layers together, of which each keeps one at least."""
    proxy: Annotated[float, Range(gt=0, le=1)] = 0.05
    """Share of the training data in the proxy set. A fifth of it measures accuracy and trains nothing."""
    epochs: Count = 10
    """Passes over the proxy set before the first round of pruning, and after each."""
    between: Literal["fine_tune", "rewind"] = "fine_tune"
    """After pruning, training goes on from the weights as they are, or from earlier ones (lottery tickets)."""
    rewind_epochs: Annotated[int, Range(ge=0)] = 0
    """For `rewind`: to the weights after so many epochs, fewer than `epochs`; 0 for the initial weights."""
    tolerance: Annotated[float, Range(ge=0, le=1)] | None = None
    """Rounds end before accuracy falls by more than this (a fraction of 1) below the unpruned one; null: never."""

    def sparsity_after(self, number: int) -> float:
        """The share of weights that is gone after so many rounds."""
        return 1 - (1 - self.fraction) ** number

    def round_of(self, sparsity: float) -> int:
        """The inverse of `sparsity_after`."""
        return round(math.log(1 - sparsity) / math.log(1 - self.fraction))


@dataclass(frozen=True, kw_only=True)
class Budgets(Closed):
    """What clients can afford: a tier of clients for each entry of the protocol's `versions`, which name the tiers."""

    measure: Literal["parameters", "multiply_adds", "bytes", "memory"] = "multiply_adds"
    """What is limited: trainable parameters; multiply-adds of a sample's forward pass; bytes sent in a round; memory of
    training. A virtual clock's milliseconds a sample are in proportion to multiply-adds."""
    levels: tuple[Annotated[float, Range(gt=0, le=1)], ...] = (0.0625, 0.125, 0.25, 0.5, 1.0)
    """One for each tier, ascending: the share of what the family's largest version takes."""
    narrowest: Annotated[float, Range(gt=0, le=1)] = 0.5
    """Where depth and width are cut: the deepest version is taken that fits at this width or a larger one."""
    sparsest: Annotated[float, Range(ge=0, lt=1)] = 0.8
    """Where layers and values are cut: the deepest version is taken that fits at this sparsity or a lower one."""
    pruning: Pruning = field(default_factory=Pruning)
    """How values are chosen that a member is to lack."""


@dataclass(frozen=True, kw_only=True)
class FinalNumber(Closed):
    """Which number of a curve enters the tables. Changing it trains nothing again."""

    phase: Phase = "aggregated"
    """After aggregation, or after local training and before it."""
    mode: Literal["eval", "train"] = "eval"
    """Tested in `eval()`, or in training mode as the authors' script measures it."""
    clients: Literal["all", "first"] = "all"
    """A version's number is the mean over all of its clients, or that of its first client (a reproduction)."""
    rule: Literal["last_fraction", "last_rounds", "last", "best"] = "last_fraction"
    """Mean over the last `fraction` of the rounds, or the last `rounds` rounds; the last value; the best value."""
    fraction: Annotated[float, Range(gt=0, le=1)] = 0.1
    """For `last_fraction`; at least one evaluated round is used."""
    rounds: Count = 50
    """For `last_rounds`."""
    decimals: Literal[None, 2] = None
    """2 rounds every measurement (a fraction of 1) to 0.01 first, as the authors' script does."""


@dataclass(frozen=True, kw_only=True)
class Protocol(Closed):
    """A complete protocol; the defaults are the preset `official`."""

    clients: Count = 8
    """Number of clients, the same number of each version, in order: the first ones hold the first version."""
    versions: tuple[str, ...] = ("V1", "V2", "V3", "V4")
    """The versions of the family that take part, shallow to deep; with `budgets`, names of the tiers, e.g. `B1`."""
    budgets: Budgets | None = None
    """Clients hold what they can afford of the family, and the strategy says what it cuts; null: whole versions."""
    participants: Count | Annotated[float, Range(gt=0, le=1)] | None = None
    """How many clients take part in a round, drawn anew for each: a number, or a fraction such as 0.1; null for all."""
    devices: Devices | None = None
    """What clients run on; null: every round takes whom it wants, and no time is counted."""
    partition: Partition = field(default_factory=lambda: Partition(options={"parts": 20}))
    """How samples are dealt to clients."""
    test_set: Literal["shard", "whole"] = "shard"
    """A client is tested on its own shard of the test set (authors' code), or on all of it."""
    slices: Count = 10
    """In each turn a client trains on the next of this many slices of its list, round and round; 1 for all of it."""
    slice_pointer: Literal["walking", "frozen", "wraps_at_2500"] = "walking"
    """Or always the first slice (a reproduction's committed code); or wrapping at sample 2,500 (authors' code)."""
    rounds: Count = 502
    """Communication rounds: local training, then aggregation."""
    local_epochs: Count = 10
    """Passes over the slice in one round."""
    local_steps: Count | None = None
    """So many SGD steps a round, in place of passes, which then run into each other: all steps are of one size."""
    batch_size: Count | Literal["all"] = 64
    """Samples per SGD step; the last batch of a pass may be smaller. `all`: a pass is one step on the whole slice."""
    shuffle: bool = True
    """Shuffle the slice anew in every local epoch."""
    optimiser: Optimiser = field(default_factory=Optimiser)
    """Local SGD."""
    initial_weights: Literal["per_version", "per_client", "common"] = "per_version"
    """Equal per version; or per client (authors' code); or equal in all common layers, too (paper, Algorithm 3)."""
    classifier: Literal["same_architecture", "none", "all"] = "same_architecture"
    """Averaging of the last fully connected layers: as the strategy says, never, or also across versions (Table 3)."""
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
    tested: Literal["participants", "all"] = "participants"
    """Who is tested after aggregation: those who took part in the round, or every client."""
    tests: tuple[Test, ...] = ("local", "aggregated", "train_mode")
    """After local training; after aggregation; and then in training mode, as the authors do it."""
    final: FinalNumber = field(default_factory=FinalNumber)
    """The number that enters the tables."""
    family_options: dict[str, dict[str, int | float | str | bool]] = field(default_factory=dict)
    """By family, options that win over the study's `families`, e.g. `{vgg: {dropout: after}}`."""

    def cohort_size(self) -> int:
        """Participants of a round; of a fraction C of K clients max(int(C K), 1), as McMahan et al. 2017 have it."""
        if self.participants is None:
            return self.clients
        if isinstance(self.participants, int):
            return self.participants
        return max(int(self.participants * self.clients + 1e-9), 1)  # 0.29 * 100 is 28.999999999999996

    def client_versions(self) -> tuple[str, ...]:
        """The version of each client, `[clients]`: equal numbers of each, in order (authors' script: two of each)."""
        return tuple(v for v in self.versions for _ in range(self.clients // len(self.versions)))


def from_dict(cls: type, values: Any, where: str = "") -> Any:
    """Rebuild a (nested) dataclass from `dataclasses.asdict` output that went through JSON.

    Args:
        cls: The dataclass.
        values: What JSON gave; lists become tuples.
        where: The place of the values in the file, for errors.

    Raises:
        UserError: a key is not known or lacks, or a value is not of the field's type; its place is named.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where or cls.__name__}: expected a JSON object, got {values!r}.")
    hints = get_type_hints(cls, include_extras=True)
    known = {f.name for f in fields(cls)}
    for key in values:
        if key not in known:
            raise UserError(f"{_place(where, key)}: unknown key. Known: {', '.join(sorted(known))}.")
    try:
        return cls(**{name: _typed(value, hints[name], _place(where, name)) for name, value in values.items()})
    except TypeError as error:  # a field without a default
        raise UserError(f"{where or cls.__name__}: {str(error).partition('__init__() ')[2]}.") from error


def _place(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _typed(value: Any, hint: Any, where: str) -> Any:
    """The value as a field with this type holds it."""
    origin, of = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if origin is Annotated:
        value = _typed(value, of[0], where)
        fits = of[1].holds(value)
    elif origin is tuple and isinstance(value, list | tuple):
        return tuple(_typed(entry, of[0], f"{where}.{i}") for i, entry in enumerate(value))
    elif origin in (dict, Mapping) and isinstance(value, Mapping):
        return {key: _typed(entry, of[1], _place(where, key)) for key, entry in value.items()}
    elif origin in (Union, UnionType):
        return _typed(value, _member(value, of), where)
    elif origin is Literal:
        fits = any(value == option and type(value) is type(option) for option in of)
    elif hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = hint is Any or type(value) is hint
    if not fits:
        expected = f"one of {', '.join(map(repr, of))}" if origin is Literal else getattr(hint, "__name__", str(hint))
        bounds = (
            [f" {name} {bound}" for name, bound in vars(of[1]).items() if bound is not None]
            if origin is Annotated
            else []
        )
        raise UserError(f"{where}: expected {expected}{','.join(bounds)}, got {value!r}.")
    return value


def _member(value: Any, members: tuple[Any, ...]) -> Any:
    """The member of a union that a value belongs to; where it is none, the one whose error says most."""
    plain = [member for member in members if member is not NoneType]
    return next((member for member in members if _is_of(value, member)), plain[0])


def _is_of(value: Any, member: Any) -> bool:
    if get_origin(member) is Literal:
        return value in get_args(member)
    return type(value) is (get_args(member)[0] if get_origin(member) is Annotated else member)
