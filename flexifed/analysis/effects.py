"""What each factor of a study does: differences between final numbers, paired by seed.

An effect is the final number of a changed protocol, by the effect's rule, less that of its base, by the base's own;
both are means over the versions. It may also be of a change of strategy or of data set, and of several metrics
(`flexifed.settings.quantities`, which has their units). Cells of one seed share partition, initial weights and batches
wherever the factor itself leaves them alone, so differences are taken within a seed, and all statistics are over the
seeds' differences.

There is no mean over strategies. The strategies average different layers, so a factor acts on some and not on others
(the moment of the test cannot move Standalone), and a mean would be a number of the study's list of strategies.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from flexifed.analysis import effects_text, fairness, finals, statistics, tables
from flexifed.analysis.collect import CELL
from flexifed.analysis.titles import strategy_rank
from flexifed.settings import quantities
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import FinalNumber, Protocol, from_dict
from flexifed.system import files

if TYPE_CHECKING:
    from flexifed.study.config import Study

FILE = "effects.json"
"""Effects of a folder of reference results, beside its queue."""

LINE = ["dataset", "family", "factor", "level", "protocol", "base", "combines", "strategy", "metric"]
"""Data set and strategy are those of the base."""


OWN = ""
"""Stands for the own metric of a data set's task."""
Reading = tuple[FinalNumber, str]
"""A rule, and what it is of."""


@dataclass(frozen=True)
class Effect:
    """A change of one factor, or of several."""

    factor: str
    level: str
    """Unique in the study."""
    protocol: str
    """Name of the changed protocol."""
    base: str
    final: FinalNumber
    """The rule for the changed protocol; the base has its own."""
    combines: tuple[str, ...] = ()
    """The levels that a change of several factors combines; their effects have the same base."""
    metrics: tuple[str, ...] = ()
    """The quantities that the effect is of; none for the own metric of the data set's task."""
    strategies: tuple[str, ...] = ()
    """The base's strategy, and the one that it is changed to; none where it stays, whichever it is."""
    datasets: tuple[str, ...] = ()
    """The same of data sets."""

    def changed(self, cell: Cell) -> Cell | None:
        """What a cell of the base becomes; None for a cell that is not of the base."""
        pairs = {"protocol": (self.base, self.protocol), "strategy": self.strategies, "dataset": self.datasets}
        named = {field: pair for field, pair in pairs.items() if pair}
        if any(getattr(cell, field) != before for field, (before, _) in named.items()):
            return None
        return replace(cell, **{field: after for field, (_, after) in named.items()})  # type: ignore[arg-type]


def of_study(study: "Study") -> list[Effect]:
    """The effects that a study names, with the rule for each."""
    return [
        Effect(
            e.factor,
            e.level,
            e.protocol,
            e.base,
            study.final(e),
            tuple(e.combines),
            tuple(e.metrics),
            tuple(e.strategies),
            tuple(study.stand_ins.get(dataset, dataset) for dataset in e.datasets),
        )
        for e in study.effects
    ]


def to_json(effects: Sequence[Effect]) -> str:
    """The content of `FILE`. Fields that not all effects have are left out where they are empty."""
    entries = [asdict(effect) for effect in effects]
    listed = [{key: value for key, value in entry.items() if value or key == "combines"} for entry in entries]
    return json.dumps(listed, indent=1) + "\n"


def of_folder(folder: Path) -> list[Effect]:
    """What `to_json` wrote into a folder of reference results; none where there is no such file.

    Raises:
        UserError: an entry is not an effect; its place is named.
    """
    path = folder / FILE
    if not path.exists():
        return []
    return [from_dict(Effect, values, f"{path}, {i}") for i, values in enumerate(files.read_json(path))]


def by_seed(
    cells: Path, expected: Sequence[Cell], protocols: Mapping[str, Protocol], effects: Sequence[Effect]
) -> pd.DataFrame:
    """The differences behind every effect, one row for each seed in which both of its cells are expected.

    Args:
        cells: `cells.parquet`.
        expected: the study's cells, in study order.
        protocols: the study's protocols by name.
        effects: what is compared; those of protocols without an expected cell are left out.

    Returns:
        Columns `LINE`, seed, changed and unchanged, effect and interaction, in the units of `quantities`. `interaction`
        is the effect less the sum of the combined levels' effects of the same seed, NaN where nothing is combined. All
        four are NaN where a cell that they need is not there.
    """
    trained = {cell.protocol for cell in expected}
    effects = [effect for effect in effects if {effect.protocol, effect.base} <= trained]
    numbers = _numbers(cells, protocols, effects)
    there = set(expected)
    found = []
    for block in dict.fromkeys((cell.dataset, cell.family) for cell in expected):
        cells_of_block = [cell for cell in expected if (cell.dataset, cell.family) == block]
        cells_of_block.sort(key=lambda cell: strategy_rank(cell.strategy))
        for effect in effects:
            line = (*block, effect.factor, effect.level, effect.protocol, effect.base, "; ".join(effect.combines))
            for cell in cells_of_block:
                changed = effect.changed(cell)
                if changed not in there:
                    continue
                for metric in effect.metrics or (OWN,):
                    after = numbers.get((changed, effect.final, metric), math.nan)
                    before = numbers.get((cell, protocols[effect.base].final, metric), math.nan)
                    name = quantities.own(cell.dataset) if metric == OWN else metric
                    found.append((*line, cell.strategy, name, cell.seed, after, before, after - before))
    table = pd.DataFrame(found, columns=[*LINE, "seed", "changed", "unchanged", "effect"])
    return table.assign(interaction=_interactions(table, effects))


def _numbers(
    cells: Path, protocols: Mapping[str, Protocol], effects: Sequence[Effect]
) -> dict[tuple[Cell, FinalNumber, str], float]:
    """Final numbers (mean over versions) of the cells that are there, by the rule and the quantity."""
    asked: dict[tuple[str, Reading], None] = {}
    for effect in effects:
        for metric in effect.metrics or (OWN,):
            asked[effect.protocol, (effect.final, metric)] = None
            asked[effect.base, (protocols[effect.base].final, metric)] = None
    found = {}
    for name, (final, metric) in asked:
        for line in _read(cells, {name: replace(protocols[name], final=final)}, metric):
            found[Cell(*line[:5]), final, metric] = line[5]
    return found


def _read(cells: Path, protocols: Mapping[str, Protocol], metric: str) -> Iterator[tuple[Any, ...]]:
    """The five names of each cell, and its number."""
    if metric in quantities.EVENNESS:
        return fairness.by_seed(cells, protocols)[[*CELL, metric]].itertuples(index=False, name=None)
    numbers = finals.final_numbers(cells, protocols, metric=metric or None)
    means = numbers.loc[numbers["version"] == finals.MEAN, [*CELL, "final"]]
    return means.itertuples(index=False, name=None)


def _interactions(table: pd.DataFrame, effects: Sequence[Effect]) -> list[float]:
    where = ["dataset", "family", "strategy", "metric", "seed", "level"]
    combined = {effect.level: effect.combines for effect in effects}
    effect_of = dict(zip(table[where].itertuples(index=False, name=None), table["effect"], strict=True))

    def interaction(place: tuple[object, ...], effect: float) -> float:
        levels = combined[str(place[-1])]
        return effect - sum(effect_of.get((*place[:-1], level), math.nan) for level in levels) if levels else math.nan

    return [interaction(place, effect) for place, effect in effect_of.items()]


def summaries(seeds: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and interval of every effect and strategy, and of every interaction.

    Args:
        seeds: as `by_seed` gives it.

    Returns:
        Columns `LINE`, quantity (`effect`; `interaction` in rows of their own, where levels are combined), n_seeds,
        difference (mean over seeds), standard_error, ci95_low, ci95_high (Student's t), outcome and note.
        `outcome` is `raises` or `lowers` where the interval leaves zero out; `none` where the difference is
        exactly zero in each of several seeds; else `not resolved`, `one seed` or `not run`. `note` names the seeds that
        are missing. One seed has no standard error and no interval, none has no number.
    """
    found = []
    for line, group in seeds.groupby(LINE, sort=False):
        named = dict(zip(LINE, line, strict=True))
        for quantity in ("effect", "interaction") if named["combines"] else ("effect",):
            values = group.set_index("seed")[quantity]
            summary = statistics.summarise(values.dropna())
            absent = [str(seed) for seed in values.index[values.isna()]]
            some = 0 < summary.n_seeds < len(values)
            found.append(
                {**named, "quantity": quantity, "n_seeds": summary.n_seeds, "difference": summary.mean}
                | {"standard_error": summary.std / math.sqrt(max(1, summary.n_seeds))}
                | {"ci95_low": summary.ci95_low, "ci95_high": summary.ci95_high, "outcome": statistics.outcome(summary)}
                | {"note": f"missing seeds: {', '.join(absent)}" if some else ""}
            )
    columns = "quantity n_seeds difference standard_error ci95_low ci95_high outcome note"
    return pd.DataFrame(found, columns=[*LINE, *columns.split()])


def write(
    cells: Path,
    table1: Path,
    folder: Path,
    *,
    expected: Sequence[Cell],
    protocols: Mapping[str, Protocol],
    effects: Sequence[Effect],
) -> None:
    """Write `effects.csv`, `effects.md` (the same to read) and `effects_by_seed.csv` (what they are made from).

    Args:
        cells: `cells.parquet`.
        table1: `table1.csv`, whose notes on the base's lines (width, rounds) hold for the effects as well.
        folder: where the tables go.
        expected: the study's cells, in study order; effects of cells that are not there are `not run`.
        protocols: the study's protocols by name.
        effects: what is compared, at least one.
    """
    seeds = by_seed(cells, expected, protocols, effects)
    table = summaries(seeds)
    for name, values in (("effects", table), ("effects_by_seed", seeds)):
        with files.complete(folder / f"{name}.csv") as partial:
            values.to_csv(partial, index=False, float_format="%.4f")
    with files.complete(folder / "effects.md") as partial:
        partial.write_text(effects_text.markdown(table, tables.read(table1)))


def read(path: Path) -> pd.DataFrame:
    """`effects.csv`; what is empty in words is an empty string, what is empty in numbers NaN.

    Tables from before effects had a metric get their data set's own.
    """
    table = tables.read(path, "level", "metric")
    return table if "metric" in table else table.assign(metric=table["dataset"].map(quantities.own))
