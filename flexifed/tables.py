"""Final numbers and the tables made of them, in percent.

A cell's final number of a version: each client's curve is reduced by the protocol's `final` rule, then the mean over
the version's clients. Seeds are the repetitions: mean, standard deviation and Student's t interval are over them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import permutations
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
from scipy.special import stdtrit

from flexifed import files, registry, typeset
from flexifed.cell import Cell
from flexifed.collect import CELL, read_curves, read_runs
from flexifed.errors import UserError
from flexifed.protocol import FinalNumber, Phase, Protocol
from flexifed.titles import strategy_rank

REFERENCE = Path(__file__).parent / "reference"
PAPER = "paper"
"""Stands for a source of published numbers: the paper."""
MEAN = "mean"
"""Stands for a version: the mean over the protocol's versions."""
METRICS = {"eval": "accuracy", "train": "accuracy_train_mode"}

CLAIMS = (
    ("max_common", "clustered_fl"),
    ("max_common", "clustered_common"),
    ("clustered_common", "clustered_fl"),
    ("clustered_common", "basic_common"),
    ("basic_common", "standalone"),
    ("clustered_fl", "standalone"),
)
"""Higher and lower strategy of each comparison that the paper's Table 1 makes in every block.

The first is the paper's headline, and what it claims of non-IID data (appendix A.4).
"""


class Row(NamedTuple):
    """A line of the study: the expected cells that differ only in their seed."""

    dataset: str
    family: str
    strategy: str
    protocol: str
    seeds: tuple[int, ...]


def rows(expected: Sequence[Cell]) -> list[Row]:
    """The lines of a study: blocks in study order, in each the paper's strategies in its order and then the others."""
    seeds: dict[tuple[str, str, str, str], list[int]] = {}
    for cell in expected:
        seeds.setdefault((cell.dataset, cell.family, cell.protocol, cell.strategy), []).append(cell.seed)
    blocks = list(dict.fromkeys(key[:3] for key in seeds))
    ordered = sorted(seeds, key=lambda key: (blocks.index(key[:3]), strategy_rank(key[3])))
    return [Row(key[0], key[1], key[3], key[2], tuple(seeds[key])) for key in ordered]


# Final numbers


def reduce_curve(curves: pd.DataFrame, final: FinalNumber, rounds: int) -> pd.DataFrame:
    """One value for each client of each cell.

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
    recent = curves["round"] > client["round"].transform("max") - window[final.rule]
    return _mean_value(curves[recent], [*CELL, "version", "client"])


def _mean_value(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    return table.groupby(by, observed=True, sort=False)["value"].mean().reset_index()


def final_numbers(
    cells: Path, protocols: Mapping[str, Protocol], *, phase: str | None = None, mode: str | None = None
) -> pd.DataFrame:
    """Final number of each version and of their mean, for every cell that is there.

    Args:
        cells: `cells.parquet`.
        protocols: the study's protocols by name.
        phase: used instead of the protocols' own.
        mode: used instead of the protocols' own.

    Returns:
        Columns of the cell, version (`mean`: mean over the versions) and accuracy (percent).

    Raises:
        UserError: a protocol's final number is a training-mode accuracy before aggregation, which is not recorded.
    """
    found = []
    for name, protocol in protocols.items():
        final = protocol.final
        if phase is None and mode is None and (final.phase, final.mode) == ("local", "train"):
            raise UserError(
                f"protocols.{name}.final: the training-mode accuracy is recorded after aggregation only; "
                "use `phase: aggregated` or `mode: eval`."
            )
        curves = read_curves(cells, protocol=name, phase=phase or final.phase, metric=METRICS[mode or final.mode])
        clients = reduce_curve(curves, final, protocol.rounds)
        versions = _mean_value(clients, [*CELL, "version"])
        found += [versions, _mean_value(versions, CELL).assign(version=MEAN)]
    table = pd.concat(found, ignore_index=True)
    return table.assign(accuracy=100 * table.pop("value"))


# Statistics over seeds


@dataclass(frozen=True)
class Summary:
    """Statistics of one number per seed; what one seed (or none) cannot give is NaN."""

    n_seeds: int
    mean: float
    std: float
    ci95_low: float
    ci95_high: float


def summarise(values: "pd.Series[float]") -> Summary:
    """Mean, sample standard deviation (ddof 1) and 95 % Student t interval of one value per seed."""
    n, mean, std = len(values), float(values.mean()), float(values.std(ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n) if n > 1 else math.nan
    return Summary(n, mean, std, mean - half, mean + half)


def seeds_by_line(numbers: pd.DataFrame) -> dict[tuple[str, ...], "pd.Series[float]"]:
    """Accuracies (percent) indexed by seed, by (dataset, family, strategy, protocol, version)."""
    line = ["dataset", "family", "strategy", "protocol", "version"]
    groups = numbers.groupby(line, observed=True, sort=False)
    return {tuple(map(str, key)): group.set_index("seed")["accuracy"] for key, group in groups}


def of_seeds(by_line: Mapping[tuple[str, ...], "pd.Series[float]"], row: Row, version: str) -> "pd.Series[float]":
    """The row's accuracies, of those of its expected seeds that are there."""
    found = by_line.get((*row[:4], version), pd.Series(dtype=float))
    return found[[seed for seed in row.seeds if seed in found.index]]


# What a line may be compared with


def line_runs(runs: pd.DataFrame, row: Row) -> pd.DataFrame:
    """The run records of a line, of those of its expected seeds that are there."""
    same = (runs[["dataset", "family", "strategy", "protocol"]] == list(row[:4])).all(axis=1)
    return runs[same & runs["seed"].isin(row.seeds)]


def _changed(
    options: str, kind: str, name: str, function: str, theirs: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The options (JSON) that are not the plugin's defaults, or not `theirs`, where somebody else has others."""
    defaults = registry.keywords(kind, name, function)
    ours = {**defaults, **json.loads(options)}
    return {key: value for key, value in ours.items() if value != {**defaults, **theirs}.get(key)}


def _listing(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items())


@lru_cache
def _official_sizes() -> dict[str, tuple[int, int]]:
    """Training and test samples of the official data sets of the paper, as far as their owners state them."""
    table = pd.read_csv(REFERENCE / "official_sizes.csv")
    return {name: (n_train, n_test) for name, n_train, n_test in table.itertuples(index=False)}


def _complete(line: pd.DataFrame) -> "pd.Series[bool]":
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
        width = _changed(options, "family", family, "build").get("width")
        found += [f"width {Fraction(width).limit_denominator(64)}"] if width is not None else []
    unverified = line[~line["verified"] & ~_complete(line)]
    for how, size in set(zip(unverified["source_how"], map(_size, unverified.to_dict("records")), strict=True)):
        found.append(f"data: {how}{size}")
    for options, dataset in set(zip(line["data_options"], line["dataset"], strict=True)):
        changed = _changed(options, "dataset", dataset, "prepare", data_options)
        theirs = f", theirs with {_listing(data_options)}" if data_options else ""
        found += [f"data set with {_listing(changed)}{theirs}"] if changed else []
    if protocol.partition.partitioner != "iid":
        found.append(f"partition {protocol.partition.partitioner} (Table 1 is IID)")
    if protocol.final.phase != phase:
        ours = "before aggregation" if phase == "aggregated" else "after aggregation, theirs before it"
        found.append(f"measured {ours}")
    return found


def obstacles_to_table1(line: pd.DataFrame, protocol: Protocol, **others: Any) -> list[str]:
    """`obstacles`, and those that are none for Table 3: `missing` for a line without a run, the classifier."""
    found = obstacles(line, protocol, **others) if len(line) else ["missing"]
    return found + ["classifier averaged across versions (Table 3)"] * (protocol.classifier == "all")


def remarks(line: pd.DataFrame, row: Row, protocol: Protocol) -> list[str]:
    """What else a reader of a line must know: how complete, unverified data came, rounds unlike the authors' script's,
    options, seeds that are missing."""
    found = [f"data: {how}" for how in sorted(set(line.loc[~line["verified"] & _complete(line), "source_how"]))]
    if protocol.rounds != Protocol().rounds:
        found.append(f"{protocol.rounds} rounds (authors' script: {Protocol().rounds})")
    for options in set(line["family_options"]):
        changed = _changed(options, "family", row.family, "build")
        changed.pop("width", None)
        found += [_listing(changed)] if changed else []
    absent = [str(seed) for seed in row.seeds if seed not in set(line["seed"])]
    if absent:
        found.append(f"missing seeds: {', '.join(absent)}")
    return found


# Tables


@lru_cache
def _paper(versions: tuple[str, ...]) -> dict[tuple[str, str, str, str], float]:
    """The paper's Table 1 in percent, with the mean over `versions` of each line."""
    table = pd.read_csv(REFERENCE / "paper_table1.csv")
    table = table[table["version"].isin(versions)]
    line = ["dataset", "family", "strategy"]
    means = table.groupby(line)["accuracy_percent"].mean().reset_index().assign(version=MEAN)
    both = pd.concat([table, means])
    return {(*key,): value for *key, value in both[[*line, "version", "accuracy_percent"]].itertuples(index=False)}


def table1(
    numbers: pd.DataFrame, runs: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> pd.DataFrame:
    """One row for each expected line and version (and their mean), whether its cells are there or not.

    `paper` and `delta` (ours minus the paper's) are filled only where nothing in `obstacles` stands against it; `note`
    says what does, and what else differs. A line without a single cell has `n_seeds` 0, no number, and the note
    "missing".
    """
    by_line = seeds_by_line(numbers)
    table = []
    for row in rows(expected):
        protocol = protocols[row.protocol]
        line = line_runs(runs, row)
        against = obstacles_to_table1(line, protocol)
        paper = {} if against else _paper(protocol.versions)
        note = "; ".join(against + (remarks(line, row, protocol) if len(line) else []))
        for version in (*protocol.versions, MEAN):
            summary = summarise(of_seeds(by_line, row, version))
            published = paper.get((*row[:3], version), math.nan)
            table.append(
                {**row._asdict(), "version": version, **vars(summary)}
                | {"paper": published, "delta": summary.mean - published, "note": note}
            )
    return pd.DataFrame(table).drop(columns="seeds")


def phases(cells: Path, expected: Sequence[Cell], protocols: Mapping[str, Protocol]) -> pd.DataFrame:
    """What the moment and mode of the test do to the mean over versions, all by the protocol's own rule.

    `aggregated` and `local` are tested in `eval()`, `train_mode` after aggregation in training mode, as in the authors'
    script. `difference` is aggregated minus local, its interval over the seeds' differences.
    """
    measured = {
        "aggregated": seeds_by_line(final_numbers(cells, protocols, phase="aggregated", mode="eval")),
        "local": seeds_by_line(final_numbers(cells, protocols, phase="local", mode="eval")),
        "train_mode": seeds_by_line(final_numbers(cells, protocols, phase="aggregated", mode="train")),
    }
    table = []
    for row in rows(expected):
        values = {name: of_seeds(by_line, row, MEAN) for name, by_line in measured.items()}
        gain = summarise(values["aggregated"] - values["local"])
        table.append(
            {**row._asdict(), "n_seeds": gain.n_seeds}
            | {name: summarise(value).mean for name, value in values.items()}
            | {"difference": gain.mean, "difference_ci95_low": gain.ci95_low, "difference_ci95_high": gain.ci95_high}
        )
    return pd.DataFrame(table).drop(columns="seeds")


ROUNDING_ERROR = 1e-9
"""Percentage points below which a difference of two accuracies is arithmetic, not measurement."""


def has_no_spread(summary: Summary) -> bool:
    """Whether several seeds gave the same value; False for one seed, whose spread nobody knows."""
    return summary.std < ROUNDING_ERROR


def verdict(difference: Summary) -> str:
    """`holds` or `contradicted` where the interval of higher minus lower leaves zero out, else `not resolved`.

    A difference that is the same in every seed is `not resolved`, too. Its interval has no width because the seeds
    happened to agree (accuracies on small shards are coarse) or are one run twice, not because the difference is known
    exactly: a spread of zero is no estimate of the spread. Without an interval: `one seed`, or `missing`.
    """
    if difference.n_seeds < 2:
        return "one seed" if difference.n_seeds else "missing"
    if has_no_spread(difference):
        return "not resolved"
    if difference.ci95_low > 0:
        return "holds"
    return "contradicted" if difference.ci95_high < 0 else "not resolved"


def comparisons(numbers: pd.DataFrame, expected: Sequence[Cell]) -> pd.DataFrame:
    """The paper's orderings (`CLAIMS`) in each block, from differences within a seed of the mean over versions.

    Cells of one seed share partition and initial weights, so the paired difference is sharper than two intervals side
    by side. One seed resolves nothing. The intervals are not adjusted for the number of comparisons.
    """
    by_line = seeds_by_line(numbers)
    lines = {row[:4]: row for row in rows(expected)}
    table = []
    for dataset, family, protocol in dict.fromkeys((row.dataset, row.family, row.protocol) for row in lines.values()):
        for higher, lower in CLAIMS:
            above = lines.get((dataset, family, higher, protocol))
            below = lines.get((dataset, family, lower, protocol))
            if above is None or below is None:
                continue
            gain = (of_seeds(by_line, above, MEAN) - of_seeds(by_line, below, MEAN)).dropna()
            summary = summarise(gain)
            values = (dataset, family, protocol, higher, lower, summary.n_seeds, summary.mean)
            table.append((*values, summary.ci95_low, summary.ci95_high, verdict(summary)))
    columns = "dataset family protocol higher lower n_seeds difference ci95_low ci95_high verdict"
    return pd.DataFrame(table, columns=columns.split())


def table3(
    numbers: pd.DataFrame, runs: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> pd.DataFrame:
    """Max-Common by what is done with the classifier (`same_architecture`, `none`, `all`), as the paper's Table 3.

    Means over versions. The paper has two columns: averaged across versions (`all`), and not.
    """
    by_line = seeds_by_line(numbers)
    reference = pd.read_csv(REFERENCE / "paper_table3.csv").set_index(["dataset", "family"])
    table = []
    for row in rows(expected):
        if row.strategy != "max_common":
            continue
        protocol, line = protocols[row.protocol], line_runs(runs, row)
        against = obstacles(line, protocol) if len(line) else ["missing"]
        column = "with_fc_percent" if protocol.classifier == "all" else "without_fc_percent"
        comparable = not against and (row.dataset, row.family) in reference.index
        summary = summarise(of_seeds(by_line, row, MEAN))
        table.append(
            {"dataset": row.dataset, "family": row.family, "protocol": row.protocol, "classifier": protocol.classifier}
            | vars(summary)
            | {"paper": reference.loc[(row.dataset, row.family), column] if comparable else math.nan}
            | {"note": "; ".join(against)}
        )
    columns = "dataset family protocol classifier n_seeds mean std ci95_low ci95_high paper note"
    return pd.DataFrame(table, columns=columns.split())


def table3_differences(
    third: pd.DataFrame, numbers: pd.DataFrame, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> pd.DataFrame:
    """What it gives Max-Common not to average the classifier across versions, from differences within a seed.

    A row for each protocol that averages the classifier within a version or never, less the one that averages it across
    versions and is otherwise the same. `verdict` is on the claim of the paper's Table 3 that the difference is above
    zero; `paper` is its difference, where both lines of `third` are comparable.

    Args:
        third: as `table3` gives it.
        numbers: as `final_numbers` gives them.
        expected: the study's cells.
        protocols: the study's protocols by name.
    """
    by_line = seeds_by_line(numbers)
    published = third.set_index(["dataset", "family", "protocol"])["paper"]
    lines = [row for row in rows(expected) if row.strategy == "max_common"]
    table = []
    for kept, across in permutations(lines, 2):
        protocol, shared = protocols[kept.protocol], protocols[across.protocol]
        unlike = protocol.classifier == "all" or replace(protocol, classifier="all") != shared
        if kept[:2] != across[:2] or unlike:
            continue
        summary = summarise((of_seeds(by_line, kept, MEAN) - of_seeds(by_line, across, MEAN)).dropna())
        values = (*kept[:2], kept.protocol, across.protocol, protocol.classifier, summary.n_seeds, summary.mean)
        paper = published[(*kept[:2], kept.protocol)] - published[(*kept[:2], across.protocol)]
        table.append((*values, summary.ci95_low, summary.ci95_high, verdict(summary), paper))
    columns = "dataset family protocol across classifier n_seeds difference ci95_low ci95_high verdict paper"
    return pd.DataFrame(table, columns=columns.split())


def published_numbers() -> pd.DataFrame:
    """What the paper and its reproductions publish: source, dataset, family, strategy, version, accuracy_percent."""
    paper = pd.read_csv(REFERENCE / "paper_table1.csv").assign(source=PAPER)
    return pd.concat([paper, pd.read_csv(REFERENCE / "reproductions_table1.csv")], ignore_index=True)


def published(expected: Sequence[Cell]) -> pd.DataFrame:
    """Means over V1..V4 that the paper and three reproductions report for the study's blocks, in percent.

    The sources differ in data, rounds and the moment of the test, so only orderings compare across them.
    """
    table = published_numbers()
    line = ["dataset", "family", "strategy", "source"]
    means = table.groupby(line, sort=False)["accuracy_percent"].mean().rename("mean").reset_index()
    blocks = list(dict.fromkeys((cell.dataset, cell.family) for cell in expected))
    means = means[[block in blocks for block in zip(means["dataset"], means["family"], strict=True)]]
    rank = [blocks.index(block) for block in zip(means["dataset"], means["family"], strict=True)]
    return means.assign(rank=rank).sort_values("rank", kind="stable").drop(columns="rank")


def write(
    cells: Path, runs: Path, folder: Path, *, expected: Sequence[Cell], protocols: Mapping[str, Protocol]
) -> None:
    """Write every table of a study.

    Args:
        cells: `cells.parquet`.
        runs: `runs.parquet`.
        folder: where `table1.{csv,md,tex}`, `table3.csv`, `table3_differences.csv`, `phases.csv`, `comparisons.csv` and
            `published.csv` go.
        expected: the study's cells, in study order; those that are not there are shown as missing.
        protocols: the study's protocols by name; their `final` is read from here, not from the runs.
    """
    protocols = {name: protocols[name] for name in dict.fromkeys(cell.protocol for cell in expected)}
    numbers = final_numbers(cells, protocols)
    run_table = read_runs(runs)
    first = table1(numbers, run_table, expected, protocols)
    third = table3(numbers, run_table, expected, protocols)
    tables = {
        "table1": first,
        "table3": third,
        "table3_differences": table3_differences(third, numbers, expected, protocols),
        "phases": phases(cells, expected, protocols),
        "comparisons": comparisons(numbers, expected),
        "published": published(expected),
    }
    for name, table in tables.items():
        with files.complete(folder / f"{name}.csv") as partial:
            table.to_csv(partial, index=False, float_format="%.4f")
    for suffix, text in (("md", typeset.markdown(first)), ("tex", typeset.latex(first))):
        with files.complete(folder / f"table1.{suffix}") as partial:
            partial.write_text(text)


def read(path: Path) -> pd.DataFrame:
    """A table that `write` wrote; an empty note is an empty string."""
    table = pd.read_csv(path, dtype={"note": "str"})
    return table.fillna({"note": ""}) if "note" in table else table
