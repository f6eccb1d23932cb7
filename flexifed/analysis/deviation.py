"""The error against published numbers: ours minus theirs in percentage points, per cell of Table 1 and in all.

Sources are the paper and its reproductions. What stands against setting a line beside a source's numbers:

- for every source: another width, data that are not the official ones or not all of them, a partition that is not
  IID, a classifier averaged across versions, no run;
- the moment of the test, where it is not the source's. The authors' script, 2006wzt and Yogurteer measure after
  aggregation, Ruicrand before it. A source measures when its own presets do (`published/presets.csv`), so the moment
  never parts a reproduction from the protocol that is its own;
- the data set, where the source has another task or other training samples under its name: `obstacle` and `options`
  of `published/source_data.csv`. 2006wzt trains on CINIC-10's validation images too, so a line with these images is
  comparable with it and with nobody else.

Rounds, clients, partitions, optimiser, mode of the test and rule for the final number do not stand against it: they
are what a protocol is, and the error tells protocols apart. Other features or another split of the same samples, and
what else no key expresses, are notes.

The interval is over our seeds alone. A published number is one run whose spread nobody knows, so even the protocol
that made it has it inside the interval less often than in 95 of 100 cases.
"""

import json
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from flexifed.analysis import comparable, finals, published, statistics, tables
from flexifed.analysis.collect import read_runs
from flexifed.analysis.finals import MEAN
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber, Phase, Protocol
from flexifed.settings.registry import PACKAGE
from flexifed.system import files

ALL = "all"
"""Stands for a data set and a family: everything that a protocol and a source both have."""

LINE = ["dataset", "family", "strategy", "protocol"]


# Sources


@dataclass(frozen=True)
class Source:
    """Who published numbers, and how they were made as far as it decides what may be set beside them."""

    name: str
    phase: Phase
    """When it measured."""
    numbers: Mapping[tuple[str, str, str, str], float]
    """Percent by data set, family, strategy and version."""
    data: Mapping[str, Mapping[str, str]]
    """By data set, its line of `source_data.csv`, where there is one."""

    def number(self, dataset: str, family: str, strategy: str, version: str, versions: Sequence[str]) -> float:
        """The published percentage; NaN where there is none. `mean` is over `versions`, if it has them all."""
        wanted = versions if version == MEAN else [version]
        return float(np.mean([self.numbers.get((dataset, family, strategy, one), math.nan) for one in wanted]))

    def obstacles(self, line: pd.DataFrame, protocol: Protocol, dataset: str) -> list[str]:
        """Why a line (rows of `runs.parquet`) must not be set beside this source's numbers; empty if it may be."""
        theirs = self.data.get(dataset, {})
        options = json.loads(theirs.get("options") or "{}")
        found = comparable.obstacles_to_table1(line, protocol, phase=self.phase, data_options=options)
        return [theirs["obstacle"], *found] if theirs.get("obstacle") else found


@lru_cache
def sources() -> tuple[Source, ...]:
    """The paper, then the reproductions."""
    table = published.table1()
    data = pd.read_csv(published.FOLDER / "source_data.csv", keep_default_na=False)
    key = ["dataset", "family", "strategy", "version"]
    return tuple(
        Source(
            str(name),
            _phase(str(name)),
            dict(zip(lines[key].itertuples(index=False, name=None), lines["accuracy_percent"], strict=True)),
            data[data["source"] == name].set_index("dataset").to_dict("index"),  # type: ignore[arg-type]
        )
        for name, lines in table.groupby("source", sort=False)
    )


@lru_cache
def _presets() -> pd.DataFrame:
    return pd.read_csv(published.FOLDER / "presets.csv", keep_default_na=False)


def _phase(source: str) -> Phase:
    """When the presets of a source measure; `tests/unit/test_deviation.py` checks that they agree."""
    preset = _presets().set_index("source")["preset"].groupby(level=0, sort=False).first()[source]
    settings = yaml.safe_load((PACKAGE / f"protocols/{preset}.yaml").read_text())
    phase: Phase = settings.get("final", {}).get("phase", FinalNumber().phase)
    return phase


def is_own(preset: str, source: str, family: str) -> bool:
    """Whether a preset is meant to reproduce a source's numbers of a family (`published/presets.csv`)."""
    rows = _presets().itertuples(index=False, name=None)
    return any(row[:2] == (preset, source) and (not row[2] or family in row[2].split()) for row in rows)


# Per cell


def by_cell(
    table1: pd.DataFrame,
    runs: pd.DataFrame,
    expected: Sequence[Cell],
    protocols: Mapping[str, Protocol],
    presets: Mapping[str, str],
) -> pd.DataFrame:
    """Ours beside every published number of the study's lines.

    Args:
        table1: as `tables.table1` gives it.
        runs: the run records.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
        presets: the preset that each protocol starts from.

    Returns:
        A row for each line, source and version that the source has a number of, and for the mean over the protocol's
        versions where it has them all. Columns: those of `LINE`, preset, version, source, own_source (the preset is
        meant to reproduce it), n_seeds, mean, ci95_low, ci95_high (percent), published (percent), error,
        error_ci95_low, error_ci95_high (ours minus published, percentage points), published_is, against, note.
        `published_is` says where the published number lies: `inside`, `above` or `below` our interval; `no spread`
        where all seeds gave the same number, whose interval claims more than is known; `one seed`; `missing`; `not
        comparable`. Where something stands `against` the comparison there is neither a published number nor an error.
        `note` is what else to know.
    """
    numbers = {tuple(line[key] for key in (*LINE, "version")): line for line in table1.to_dict("records")}
    found = []
    for row in finals.rows(expected):
        protocol, preset = protocols[row.protocol], presets[row.protocol]
        line = comparable.line_runs(runs, row)
        remarks = comparable.remarks(line, row, protocol) if len(line) else []
        for source in sources():
            against = source.obstacles(line, protocol, row.dataset)
            remark = source.data.get(row.dataset, {}).get("remark")
            about = {"source": source.name, "own_source": is_own(preset, source.name, row.family)}
            notes = {"against": "; ".join(against), "note": "; ".join([*remarks, *filter(None, [remark])])}
            for version in (*protocol.versions, MEAN):
                published = source.number(*row[:3], version, protocol.versions)
                if math.isnan(published):
                    continue
                ours = numbers[*row[:4], version]
                where = dict(zip(LINE, row, strict=False)) | {"preset": preset, "version": version}
                found.append({**where, **about, **_error(ours, math.nan if against else published), **notes})
    statistics = "n_seeds mean ci95_low ci95_high published error error_ci95_low error_ci95_high published_is"
    columns = [*LINE, "preset", "version", "source", "own_source", *statistics.split(), "against", "note"]
    return pd.DataFrame(found, columns=columns)


def _error(ours: Mapping[Hashable, Any], published: float) -> dict[str, Any]:
    """Ours, the published number (NaN: not to be compared), and the difference."""
    statistics = {name: ours[name] for name in ("n_seeds", "mean", "ci95_low", "ci95_high")}
    ends = {"error": "mean", "error_ci95_low": "ci95_low", "error_ci95_high": "ci95_high"}
    errors = {name: ours[end] - published for name, end in ends.items()}
    return {**statistics, "published": published, **errors, "published_is": _place(ours, published)}


def _place(ours: Mapping[Hashable, Any], published: float) -> str:
    """Where the published number lies."""
    if ours["n_seeds"] == 0:
        return "missing"
    if math.isnan(published):
        return "not comparable"
    if ours["n_seeds"] == 1:
        return "one seed"
    if ours["std"] < statistics.ROUNDING_ERROR:
        return "no spread"
    if published > ours["ci95_high"]:
        return "above"
    return "below" if published < ours["ci95_low"] else "inside"


# In all


def groups(errors: pd.DataFrame) -> dict[str, str]:
    """By protocol, the protocols that make one setting of the study; `a; b` for several.

    Protocols of one preset that share no data set and family are one setting, of which each is a part: a reproduction
    has another learning rate or other parts on one data set. Protocols of one preset side by side in a block are not.
    """
    found: dict[str, str] = {}
    for _, lines in errors.groupby("preset", sort=False):
        names = list(lines["protocol"].unique())
        parts = lines.drop_duplicates(["dataset", "family", "protocol"])
        apart = not parts.duplicated(["dataset", "family"]).any()
        found |= {name: "; ".join(names) if apart else name for name in names}
    return found


def in_all(errors: pd.DataFrame) -> pd.DataFrame:
    """The errors of each setting against each source, over everything that both have and in each of its blocks.

    Args:
        errors: as `by_cell` gives it.

    Returns:
        Columns protocols (`groups`), preset, source, own_source (in every block), dataset, family (both `all` for
        everything), n_cells (published numbers of the expected lines, without means over versions), n_compared (those
        with an error), n_intervals (those whose place in or outside an interval is known), n_inside, mean_error,
        mean_absolute_error, root_mean_square_error (percentage points over the compared), n_orders and kendall_tau.
        `kendall_tau` is the rank agreement of our strategies with the source's, each ranked by its mean over versions:
        Kendall's tau-b (scipy) in each block with two compared strategies or more, then the mean over these `n_orders`
        blocks. A pair of strategies that is tied on either side counts as neither agreement nor disagreement, and is
        taken out of that side's number of pairs, so that +1 is the same order, ties included; a block in which all
        strategies of a side tie has no order. Nothing compared has no number. The cells of a block share seeds and
        data, so none of these numbers has an interval.
    """
    setting = errors["protocol"].map(groups(errors))
    found = []
    for (protocols, source), lines in errors.assign(protocols=setting).groupby(["protocols", "source"], sort=False):
        blocks = [(ALL, ALL), *lines[["dataset", "family"]].drop_duplicates().itertuples(index=False, name=None)]
        for dataset, family in blocks:
            part = lines if dataset == ALL else lines[(lines["dataset"] == dataset) & (lines["family"] == family)]
            about = {"protocols": protocols, "preset": part["preset"].iloc[0], "source": source}
            about |= {"own_source": part["own_source"].all(), "dataset": dataset, "family": family}
            found.append({**about, **_statistics(part)})
    columns = "protocols preset source own_source dataset family n_cells n_compared n_intervals n_inside mean_error"
    columns += " mean_absolute_error root_mean_square_error n_orders kendall_tau"
    return pd.DataFrame(found, columns=columns.split())


def _statistics(lines: pd.DataFrame) -> dict[str, Any]:
    cells = lines[lines["version"] != MEAN]
    error = cells["error"].dropna()
    orders = list(_orders(lines))
    return {
        "n_cells": len(cells),
        "n_compared": len(error),
        "n_intervals": int(cells["published_is"].isin(["inside", "above", "below"]).sum()),
        "n_inside": int((cells["published_is"] == "inside").sum()),
        "mean_error": error.mean(),
        "mean_absolute_error": error.abs().mean(),
        "root_mean_square_error": math.sqrt((error**2).mean()) if len(error) else math.nan,
        "n_orders": len(orders),
        "kendall_tau": float(np.mean(orders)) if orders else math.nan,
    }


def _orders(lines: pd.DataFrame) -> Iterator[float]:
    """Kendall's tau-b of each block that has one."""
    from scipy.stats import kendalltau  # here, since it takes a second and few studies compare anything

    means = lines[(lines["version"] == MEAN) & lines["error"].notna()]
    for _, block in means.groupby(["dataset", "family", "protocol"], sort=False):
        if len(block) > 1 and block["mean"].nunique() > 1 and block["published"].nunique() > 1:
            yield float(kendalltau(block["mean"], block["published"], variant="b").statistic)


def rivals(errors: pd.DataFrame, source: str) -> pd.DataFrame:
    """Absolute errors (percentage points) of the settings that are meant to reproduce a source.

    Returns:
        A row for each published number (indexed by dataset, family, strategy, version) that one of them is compared
        with, a column for each of them (`groups`), NaN where it is not.
    """
    same = (errors["source"] == source) & errors["own_source"] & errors["error"].notna() & (errors["version"] != MEAN)
    compared = errors[same].assign(protocols=errors["protocol"].map(groups(errors)), error=errors["error"].abs())
    cell = ["dataset", "family", "strategy", "version"]
    return compared.pivot_table(index=cell, columns="protocols", values="error", sort=False)


# From files to files


def write(
    table1: Path,
    runs: Path,
    folder: Path,
    *,
    expected: Sequence[Cell],
    protocols: Mapping[str, Protocol],
    presets: Mapping[str, str],
) -> None:
    """Write `errors.csv` and `errors_in_all.csv`.

    Args:
        table1: `table1.csv`.
        runs: `runs.parquet`.
        folder: where the tables go.
        expected: the study's cells, in study order; those that are not there are shown as missing.
        protocols: the study's protocols by name.
        presets: the preset that each protocol starts from.
    """
    errors = by_cell(tables.read(table1), read_runs(runs), expected, protocols, presets)
    for name, table in (("errors", errors), ("errors_in_all", in_all(errors))):
        with files.complete(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False, float_format="%.4f")


def read(path: Path) -> pd.DataFrame:
    """A table that `write` wrote; what is empty in words is an empty string, what is empty in numbers NaN."""
    return tables.read(path)
