"""Published numbers of single settings beside ours: accuracies after so many rounds, and rounds to an accuracy.

A number of `published/numbers.csv` says which settings it is of: data set, model, strategy, clients, participants,
partitioner, local epochs, batch size, momentum and, where its source does not tune it, learning rate. It stands beside
every line of a study that has these settings and one version; what else stands against the comparison (options of the
model, an incomplete data set, slices, another test) is named, and then there is no verdict. Where the source tuned the
learning rate, so do we: of the study's rates the one with the best mean is judged. (FlexiFed's Table 1, which is about
versions side by side, has a table of its own.)

- `accuracy`: percent in the round `at`, mean over the round's participants, after aggregation, in eval().
- `rounds_to`: rounds until the best accuracy so far is `at` percent, with straight lines between tested rounds, as
  McMahan et al. 2017 (section 3) read their curves. A seed that never arrives has none, and is counted.

Sources publish one run each. So the verdict asks whether that run could be one more of ours: whether it lies in the
interval that holds one more seed in 95 of 100 cases (Student t, s * sqrt(1 + 1 / n)), where seeds are what varies. Two
seeds give no such interval: at 95 %, Student's t makes it 22 times as wide as they are apart, which holds everything.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from flexifed.analysis import finals, published, speed, statistics
from flexifed.analysis.collect import CELL, read_runs
from flexifed.analysis.comparable import changed_options, complete, line_runs, listing
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.system import files

LINE = ["dataset", "family", "version", "strategy", "protocol"]
COLUMNS = [
    *LINE, "source", "metric", "at", "published", "n_seeds", "not_reached", "mean", "std", "ci95_low", "ci95_high",
    "one_more_low", "one_more_high", "deviation", "ratio", "verdict", "note", "remark",
]  # fmt: skip
"""Columns of `beside`: `deviation` is ours less theirs, in percentage points or rounds, and `ratio`, of rounds, ours
over theirs; `note` is what stands against the comparison, `remark` what the source says of its number."""

INSIDE, ABOVE, BELOW = "could be one of ours", "theirs is higher", "theirs is lower"
NOT_REACHED, NOT_COMPARABLE = "not reached", "not comparable"
TOO_FEW, NOT_BEST = "too few seeds", "another rate is better"

FEWEST = 3
"""Seeds that an interval for one more takes."""

COMMON = {"slices": 1, "test_set": "whole", "shuffle": True, "normalisation": "averaged"}
"""What is common to the settings of all published numbers so far, beside no weight decay."""


def settings(protocol: Protocol) -> dict[str, str]:
    """A protocol in the words of the published table."""
    return {
        "clients": str(protocol.clients),
        "cohort": str(protocol.cohort_size()),
        "partitioner": protocol.partition.partitioner,
        "local_epochs": str(protocol.local_epochs),
        "batch_size": str(protocol.batch_size),
        "learning_rate": f"{protocol.optimiser.learning_rate:g}",
        "momentum": f"{protocol.optimiser.momentum:g}",
    }


def against(line: pd.DataFrame, protocol: Protocol, number: Mapping[str, Any]) -> list[str]:
    """What stands against setting a line beside a number of its settings.

    Args:
        line: the line's run records.
        protocol: its protocol.
        number: a row of `published.numbers`.
    """
    values = {key: getattr(protocol, key) for key in COMMON} | {"weight_decay": protocol.optimiser.weight_decay}
    found = [
        f"{key} {values[key]} (theirs: {theirs})"
        for key, theirs in (COMMON | {"weight_decay": 0.0}).items()
        if values[key] != theirs
    ]
    partitioner, options = protocol.partition.partitioner, json.dumps(protocol.partition.options)
    if dealt := changed_options(options, "partitioner", partitioner):
        found.append(f"{partitioner} with {listing(dealt)}")
    theirs = json.loads(number["model_options"] or "{}")
    for family, options in sorted(set(zip(line["family"], line["family_options"], strict=True))):
        if (ours := changed_options(options, "family", family)) != theirs:
            found.append(f"model with {listing(ours) or 'its defaults'} (theirs: {listing(theirs) or 'the defaults'})")
    if not complete(line).all():
        found.append("a part of the data")
    return found


def beside(
    curves: pd.DataFrame, runs: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> pd.DataFrame:
    """A row for each line of the study and number that is of its settings.

    Args:
        curves: as `speed.curves` gives them.
        runs: the run records.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.

    Returns:
        `COLUMNS`; `verdict` is one of the words above (`NOT_REACHED` where some seed has no number), or
        `statistics.Verdict.ONE_SEED` or `MISSING`.
    """
    found: list[dict[str, Any]] = []
    for row in finals.rows(expected):
        protocol = protocols[row.protocol]
        if len(protocol.versions) == 1:
            for number in of_line(row, protocol):
                notes = against(line_runs(runs, row), protocol, number)
                found.append(_entry(row, protocol, number, curves) | {"note": "; ".join(notes)})
                if notes and found[-1]["verdict"] != statistics.Verdict.MISSING:
                    found[-1]["verdict"] = NOT_COMPARABLE
    _judge_the_best_rate(found)
    return pd.DataFrame(found, columns=COLUMNS)


def _judge_the_best_rate(found: list[dict[str, Any]]) -> None:
    """Of several rates beside one number whose source tuned its own, leave the verdict to the best."""
    rates: dict[int, list[dict[str, Any]]] = {}
    for entry in found:
        if entry["tuned"] and np.isfinite(entry["mean"]) and entry["verdict"] != NOT_COMPARABLE:
            rates.setdefault(entry["number"], []).append(entry)
    for entries in rates.values():
        pick = min if entries[0]["metric"] == "rounds_to" else max
        best = pick(entries, key=lambda entry: entry["mean"])
        for entry in entries:
            if entry is not best:
                entry["verdict"] = NOT_BEST


def of_line(row: finals.Row, protocol: Protocol) -> Iterator[dict[str, Any]]:
    """The published numbers that are of a line's settings, as rows of `published.numbers` with their `index`."""
    ours = settings(protocol) | {"dataset": row.dataset, "family": row.family, "strategy": row.strategy}
    ours |= {"version": protocol.versions[0]}
    numbers = published.numbers()
    for number in numbers[numbers["at"] != ""].reset_index().to_dict("records"):
        there = number["metric"] == "rounds_to" or float(number["at"]) <= protocol.rounds
        if there and all(number[key] in ("", value) for key, value in ours.items()):
            yield {str(key): value for key, value in number.items()}


def _entry(row: finals.Row, protocol: Protocol, number: Mapping[str, Any], curves: pd.DataFrame) -> dict[str, Any]:
    at, published = float(number["at"]), float(number["value"])
    values = _values(row, protocol, str(number["metric"]), at, curves)
    arrived = values[np.isfinite(values)]
    absent = len(values) - len(arrived)
    summary = statistics.summarise(pd.Series(dtype=float) if absent else arrived)
    half = math.nan
    if summary.n_seeds >= FEWEST:
        half = float(stdtrit(summary.n_seeds - 1, 0.975)) * summary.std * math.sqrt(1 + 1 / summary.n_seeds)
    low, high = summary.mean - half, summary.mean + half
    return {
        "dataset": row.dataset,
        "family": row.family,
        "version": protocol.versions[0],
        "strategy": row.strategy,
        "protocol": row.protocol,
        "source": number["source"],
        "metric": number["metric"],
        "at": at,
        "published": published,
        "not_reached": absent,
        **vars(summary),
        "one_more_low": low,
        "one_more_high": high,
        "deviation": summary.mean - published,
        "ratio": summary.mean / published if number["metric"] == "rounds_to" else math.nan,
        "verdict": _verdict(summary.n_seeds, absent, published, low, high),
        "remark": number["remark"],
        "number": number["index"],
        "tuned": not number["learning_rate"],
    }


def _values(row: finals.Row, protocol: Protocol, metric: str, at: float, curves: pd.DataFrame) -> "pd.Series[float]":
    """One value for each seed that is there; infinite where a curve never arrives."""
    of_line = curves[(curves[CELL[:4]] == list(row[:4])).all(axis=1) & (curves["version"] == protocol.versions[0])]
    found = {}
    for seed, curve in of_line[of_line["seed"].isin(row.seeds)].groupby("seed"):
        percent = curve.set_index("round")["value"].sort_index()
        if metric == "rounds_to":
            found[seed] = rounds_to(percent, at)
        elif at in percent.index:
            found[seed] = float(percent.loc[int(at)])
    return pd.Series(found, dtype=float)


def rounds_to(curve: "pd.Series[float]", target: float) -> float:
    """Rounds until the best accuracy so far is the target, between two tested rounds in proportion; infinite if never.

    Args:
        curve: percent, indexed by tested round, ascending.
        target: percent.
    """
    best = curve.cummax()
    if best.iloc[-1] < target:
        return math.inf
    place = int((best >= target).to_numpy().argmax())
    if place == 0:
        return float(best.index[0])
    (before, after), (low, high) = best.index[place - 1 : place + 1], best.iloc[place - 1 : place + 1]
    return float(before + (after - before) * (target - low) / (high - low))


def _verdict(n_seeds: int, absent: int, published: float, low: float, high: float) -> str:
    if absent:
        return NOT_REACHED
    if n_seeds < FEWEST:
        return str((statistics.Verdict.MISSING, statistics.Verdict.ONE_SEED, TOO_FEW)[n_seeds])
    if low <= published <= high:
        return INSIDE
    return ABOVE if published > high else BELOW


def write(
    cells: Path, runs: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> None:
    """Write `beside.csv`.

    Args:
        cells: `cells.parquet`.
        runs: `runs.parquet`.
        folder: where the table goes.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
    """
    table = beside(speed.curves(cells), read_runs(runs), expected, finals.of_cells(expected, protocols))
    with files.complete(folder / "beside.csv") as partial:
        table.to_csv(partial, index=False, float_format="%.4f")
