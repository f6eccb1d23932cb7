"""Final numbers, in percent, and the lines of a study that they belong to.

A cell's final number of a version: each client's curve, of the metric of the data set's task, is reduced by the
protocol's `final` rule, then the mean over the version's clients. Where only the clients together have that metric, as
with areas under a curve, it is their curve that is reduced. A line is the cells that differ only in their seed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from flexifed.analysis import metrics
from flexifed.analysis.collect import CELL
from flexifed.analysis.titles import strategy_rank
from flexifed.settings import quantities
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber, Protocol
from flexifed.system.errors import UserError

MEAN = "mean"
"""Stands for a version: the mean over the protocol's versions."""

PHASES = {"aggregated": "after aggregation", "local": "after local training and before aggregation"}
MODES = {"eval": "tested in eval()", "train": "tested in training mode"}


def rule(final: FinalNumber) -> str:
    """A rule for the final number in words: which rounds of a client's curve, when and how tested, which clients."""
    rounds = {
        "last": "the last tested round",
        "best": "each client's best tested round",
        "last_rounds": f"mean over the last {final.rounds} rounds",
        "last_fraction": f"mean over the last {100 * final.fraction:g} % of the rounds",
    }
    text = [rounds[final.rule], PHASES[final.phase], MODES[final.mode]]
    text += ["of each version's first client"] * (final.clients == "first")
    text += [f"rounded to {final.decimals} decimals first"] * (final.decimals is not None)
    return ", ".join(text)


class Row(NamedTuple):
    """A line of the study: the expected cells that differ only in their seed."""

    dataset: str
    family: str
    strategy: str
    protocol: str
    seeds: tuple[int, ...]


def of_cells(expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> dict[str, Protocol]:
    """The protocols that the cells have, in the order of the cells."""
    return {name: protocols[name] for name in dict.fromkeys(cell.protocol for cell in expected)}


def rows(expected: Sequence[Cell]) -> list[Row]:
    """The lines of a study: blocks in study order, in each the paper's strategies in its order and then the others."""
    seeds: dict[tuple[str, str, str, str], list[int]] = {}
    for cell in expected:
        seeds.setdefault((cell.dataset, cell.family, cell.protocol, cell.strategy), []).append(cell.seed)
    blocks = list(dict.fromkeys(key[:3] for key in seeds))
    ordered = sorted(seeds, key=lambda key: (blocks.index(key[:3]), strategy_rank(key[3])))
    return [Row(key[0], key[1], key[3], key[2], tuple(seeds[key])) for key in ordered]


def of_line(seeds: pd.DataFrame, row: Row) -> pd.DataFrame:
    """Of a table with a row for each cell those of a line, by seed, of those of its expected seeds that are there.

    Args:
        seeds: with the columns of the cell, and others.
        row: the line.
    """
    same = (seeds[["dataset", "family", "strategy", "protocol"]] == list(row[:4])).all(axis=1)
    return seeds[same & seeds["seed"].isin(row.seeds)].set_index("seed")


def missing_seeds(row: Row, there: "pd.DataFrame | pd.Series[float]") -> str:
    """Which expected seeds of a line are not there, in words; nothing where all or none are.

    Args:
        row: the line.
        there: indexed by seed, as `of_line` and `of_seeds` give it.
    """
    absent = [str(seed) for seed in row.seeds if seed not in there.index]
    return f"missing seeds: {', '.join(absent)}" if absent and len(there) else ""


def reduce_curve(curves: pd.DataFrame, final: FinalNumber, rounds: int) -> pd.DataFrame:
    """One value for each client of each cell; of cohorts, for each that was tested in the rule's last rounds.

    Args:
        curves: rows of `cells.parquet` of one phase and one metric, values in 0..1.
        final: the rule.
        rounds: communication rounds of the protocol.

    Returns:
        Columns of the cell, version, client (only the first of a version if the rule says so) and value (0..1).
    """
    if final.decimals is not None:
        curves = curves.assign(value=curves["value"].round(final.decimals))
    if final.clients == "first":
        first = curves.groupby([*CELL, "version"], observed=True, sort=False)["client"].transform("min")
        curves = curves[curves["client"] == first]
    client = curves.groupby([*CELL, "version", "client"], observed=True, sort=False)
    if final.rule == "best":
        return client["value"].max().reset_index()
    window = {"last": 1, "last_rounds": final.rounds, "last_fraction": max(1, round(final.fraction * rounds))}
    # Of the version, not of the client: one that is absent at the end was last tested on an earlier model.
    last = curves.groupby([*CELL, "version"], observed=True, sort=False)["round"].transform("max")
    recent = curves["round"] > last - window[final.rule]
    return _mean_value(curves[recent], [*CELL, "version", "client"])


def final_numbers(
    cells: Path,
    protocols: Mapping[str, Protocol],
    *,
    phase: str | None = None,
    mode: str | None = None,
    metric: str | None = None,
) -> pd.DataFrame:
    """Final number of each version and of their mean, for every cell that is there.

    Args:
        cells: `cells.parquet`.
        protocols: the study's protocols by name.
        phase: used instead of the protocols' own.
        mode: used instead of the protocols' own.
        metric: used instead of the data sets' own.

    Returns:
        Columns of the cell, version (`mean`: mean over the versions) and final (percent of the metric; nats of a loss).

    Raises:
        UserError: a protocol's final number is of a test in training mode before aggregation, which is not recorded.
    """
    found = []
    for name, protocol in protocols.items():
        final = protocol.final
        if phase is None and mode is None and (final.phase, final.mode) == ("local", "train"):
            raise UserError(
                f"protocols.{name}.final: the test in training mode is recorded after aggregation only; "
                "use `phase: aggregated` or `mode: eval`."
            )
        curves = metrics.curves(
            cells, phase=phase or final.phase, mode=mode or final.mode, metric=metric, protocol=name
        )
        clients = reduce_curve(curves, final, protocol.rounds)
        versions = _mean_value(clients, [*CELL, "version"])
        found += [versions, _mean_value(versions, CELL).assign(version=MEAN)]
    table = pd.concat(found, ignore_index=True)
    return table.assign(final=quantities.factor(metric or "") * table.pop("value"))


def _mean_value(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    return table.groupby(by, observed=True, sort=False)["value"].mean().reset_index()


def seeds_by_line(numbers: pd.DataFrame) -> dict[tuple[str, ...], "pd.Series[float]"]:
    """Final numbers (percent) indexed by seed, by (dataset, family, strategy, protocol, version)."""
    line = ["dataset", "family", "strategy", "protocol", "version"]
    groups = numbers.groupby(line, observed=True, sort=False)
    return {tuple(map(str, key)): group.set_index("seed")["final"] for key, group in groups}


def of_seeds(by_line: Mapping[tuple[str, ...], "pd.Series[float]"], row: Row, version: str) -> "pd.Series[float]":
    """The row's final numbers, of those of its expected seeds that are there."""
    found = by_line.get((*row[:4], version), pd.Series(dtype=float))
    return found[[seed for seed in row.seeds if seed in found.index]]
