"""What a line may be compared with, and what a reader must know of it."""

import json
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import pandas as pd

from flexifed.analysis import published
from flexifed.analysis.finals import Row
from flexifed.settings import registry
from flexifed.settings.protocol import Phase, Protocol


def line_runs(runs: pd.DataFrame, row: Row) -> pd.DataFrame:
    """The run records of a line, of those of its expected seeds that are there."""
    same = (runs[["dataset", "family", "strategy", "protocol"]] == list(row[:4])).all(axis=1)
    return runs[same & runs["seed"].isin(row.seeds)]


def changed_options(
    options: str, kind: str, name: str, theirs: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The options (JSON) that are not the plugin's defaults, or not `theirs`, where somebody else has others."""
    defaults = registry.keywords(kind, name)
    ours = {**defaults, **json.loads(options)}
    return {key: value for key, value in ours.items() if value != {**defaults, **theirs}.get(key)}


def listing(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items())


@lru_cache
def _official_sizes() -> dict[str, tuple[int, int]]:
    """Training and test samples of the official data sets of the paper, as far as their owners state them."""
    table = pd.read_csv(published.FOLDER / "official_sizes.csv")
    return {name: (n_train, n_test) for name, n_train, n_test in table.itertuples(index=False)}


def complete(line: pd.DataFrame) -> "pd.Series[bool]":
    """For each run, whether its data set has the official number of samples."""
    samples = zip(line["dataset"], line["n_train"], line["n_test"], strict=True)
    return pd.Series([_official_sizes().get(d) == (train, test) for d, train, test in samples], line.index, dtype=bool)


def _size(run: Mapping[Any, Any]) -> str:
    """How much of the official data set a run has seen, where that is known."""
    official = _official_sizes().get(run["dataset"])
    if official is None:
        return ""
    return f", {run['n_train']:,} of {official[0]:,} training and {run['n_test']:,} of {official[1]:,} test samples"


def obstacles(
    line: pd.DataFrame,
    protocol: Protocol,
    phase: Phase = "aggregated",
    data_options: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Why a line must not be set beside published numbers, by default the paper's; empty if it may be.

    Args:
        line: the line's rows of `runs.parquet`, at least one.
        protocol: its protocol.
        phase: when the others measured.
        data_options: the others' options of the data set, as far as they are not the defaults.
    """
    found = []
    for options, family in set(zip(line["family_options"], line["family"], strict=True)):
        width = changed_options(options, "family", family).get("width")
        found += [f"width {Fraction(width).limit_denominator(64)}"] if width is not None else []
    unverified = line[~line["verified"] & ~complete(line)]
    for how, size in set(zip(unverified["source_how"], map(_size, unverified.to_dict("records")), strict=True)):
        found.append(f"data: {how}{size}")
    for options, dataset in set(zip(line["data_options"], line["dataset"], strict=True)):
        changed = changed_options(options, "dataset", dataset, data_options)
        theirs = f", theirs with {listing(data_options)}" if data_options else ""
        found += [f"data set with {listing(changed)}{theirs}"] if changed else []
    if protocol.partition.partitioner != "iid" and not published.families().isdisjoint(line["family"]):
        found.append(f"partition {protocol.partition.partitioner} (Table 1 is IID)")
    if protocol.final.phase != phase:
        ours = "before aggregation" if phase == "aggregated" else "after aggregation, theirs before it"
        found.append(f"measured {ours}")
    if protocol.common_layers is not None:
        found.append(f"at most {protocol.common_layers} layers in common")
    return found


def obstacles_to_table1(line: pd.DataFrame, protocol: Protocol, **others: Any) -> list[str]:
    """`obstacles`, `missing` for a line without a run, and the classifier averaged across versions, which is none for
    Table 3."""
    found = obstacles(line, protocol, **others) if len(line) else ["missing"]
    return found + ["classifier averaged across versions (Table 3)"] * (protocol.classifier == "all")


def remarks(line: pd.DataFrame, row: Row, protocol: Protocol) -> list[str]:
    """What else a reader of a line must know: how complete, unverified data came, rounds unlike the authors' script's,
    options, seeds that are missing."""
    found = [f"data: {how}" for how in sorted(set(line.loc[~line["verified"] & complete(line), "source_how"]))]
    if protocol.rounds != Protocol().rounds and row.family in published.families():
        found.append(f"{protocol.rounds} rounds (authors' script: {Protocol().rounds})")
    for options in set(line["family_options"]):
        changed = changed_options(options, "family", row.family)
        changed.pop("width", None)
        found += [listing(changed)] if changed else []
    absent = [str(seed) for seed in row.seeds if seed not in set(line["seed"])]
    if absent:
        found.append(f"missing seeds: {', '.join(absent)}")
    return found
