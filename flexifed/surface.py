"""What notebooks use of a study: its results as tables, its curves as a figure, one of its cells run.

Everything is read from the folders of the finished cells, as they are now: Snakemake need not have collected them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from flexifed.analysis import collect, finals, metrics, tables
from flexifed.settings import layout, registry
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol, from_dict
from flexifed.system.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from flexifed.study.config import Study


def results(study_folder: str | Path) -> pd.DataFrame:
    """All that was measured in a study, in long form: one value a row.

    Args:
        study_folder: e.g. `results/quick`; reference results such as `results/reference/local-cpu` do, too.

    Returns:
        Columns

        - `dataset`, `family`, `strategy`, `protocol`, `seed`: the cell, by registered names; seed is an integer;
        - `round`: communication round, from 1; only evaluated rounds are there (`evaluate_every`);
        - `client`: 0 .. clients - 1, or -1 for what is of several together: the tested clients of a version, whose
          scores a metric such as AUC needs at once, or the whole round; `version`: the version of the family that it
          trains, e.g. `V1`;
        - `phase`: `local` (after local training), `aggregated` (after the averaging that follows it), or `clock`;
        - `metric`: those of the data set's task, on the client's test samples in `eval()` (`accuracy`, `loss` in nats;
          `auc`, `gauc` of clicks), `accuracy_train_mode` (likewise with dropout and batch statistics, as in the
          authors' script), `train_loss` (mean over the round's local training, nats; phase `local`); in the phase
          `clock` `seconds` (simulated, since the start) and `dropped` (invited and not kept);
        - `value`: 0 .. 1, if it is no loss, time or count.

    Raises:
        UserError: the folder holds no finished cell.
    """
    with _collected(Path(study_folder)) as (cells, _):
        table = collect.read_curves(cells)
    names = [name for name in table.columns if isinstance(table[name].dtype, pd.CategoricalDtype)]
    return table.astype(dict.fromkeys(names, str))


def runs(study_folder: str | Path) -> pd.DataFrame:
    """The run records of a study, one run a row.

    Args:
        study_folder: see `results`.

    Returns:
        The columns of the cell (see `results`); settings (`rounds`, `clients`, `engine`, `precision`, `partitioner`,
        `classifier`, `normalisation`, and as JSON `protocol_settings`, `family_options`, `data_options`;
        `settings_digest` tells equal ones); the data (`verified`, `source_how`, `classes`, `n_train`, `n_test`);
        traffic in bytes a round, summed over the clients (`bytes_up_per_round`, `bytes_down_per_round`; of each client
        in `bytes_by_client`, JSON); and the origin (`commit`, `dirty`, `code`, `torch`, `device`, `started`,
        `seconds`).

    Raises:
        UserError: the folder holds no finished cell.
    """
    with _collected(Path(study_folder)) as (_, records):
        return collect.read_runs(records)


def draw(
    study_folder: str | Path, dataset: str | None = None, family: str | None = None, protocol: str | None = None
) -> "Figure":
    """The figure of convergence of one block of a study: the data set's metric after aggregation, in `eval()`,
    against rounds.

    A panel per version, a line per strategy (mean over clients and seeds) with its interval over seeds.

    Args:
        study_folder: see `results`.
        dataset: of the block; needed where the study has several.
        family: likewise.
        protocol: likewise.

    Returns:
        A figure of matplotlib; `figure.savefig("curves.png")` writes it.

    Raises:
        UserError: the folder holds no finished cell, or not exactly one block is meant.
    """
    from flexifed.figures import convergence

    with _collected(Path(study_folder)) as (cells, records):
        table = collect.read_runs(records)
        block = _block(table, {"dataset": dataset, "family": family, "protocol": protocol})
        same = table[(table[list(block)] == list(block.values())).all(axis=1)]
        protocols = {block["protocol"]: _protocol(same)}
        expected = [Cell(*values) for values in same[collect.CELL].itertuples(index=False)]
        first = tables.table1(finals.final_numbers(cells, protocols), table, expected, protocols)
        curves = metrics.curves(cells, phase="aggregated", **block)
        return convergence.draw(curves, first)


def _block(table: pd.DataFrame, wanted: Mapping[str, str | None]) -> dict[str, str]:
    """The one block of the runs that is meant."""
    blocks = table[list(wanted)].drop_duplicates()
    meant = blocks
    for name, value in wanted.items():
        meant = meant if value is None else meant[meant[name] == value]
    if len(meant) != 1:
        listed = "; ".join(", ".join(values) for values in blocks.itertuples(index=False))
        raise UserError(f"{len(meant)} blocks are meant, one can be drawn; say which ({', '.join(wanted)}): {listed}.")
    return dict(zip(wanted, meant.iloc[0], strict=True))


def _protocol(same: pd.DataFrame) -> Protocol:
    """The protocol that a block's runs were recorded with."""
    protocol: Protocol = from_dict(Protocol, json.loads(same["protocol_settings"].iloc[0]))
    return protocol


def run_cell(
    config: str | Path | Sequence[str | Path] | Mapping[str, Any],
    dataset: str,
    family: str,
    strategy: str,
    protocol: str,
    seed: int,
    *,
    device: str | None = None,
) -> Path:
    """Run one cell of a study in this process, with everything it needs, even where it has been run before.

    The strategy may be any of `flexifed/strategies/`, and the seed any, whether or not the study has them.

    Args:
        config: the study's YAML file, or several, of which a later one is an overlay over those before it; or its keys.
        dataset: one of the study's.
        family: one that the study has for the data set.
        strategy: registered name.
        protocol: one of the study's.
        seed: 0 or more.
        device: `cpu`, `cuda`, `cuda:1` ...; by default a GPU if there is one.

    Returns:
        The cell's folder, in `results/{study}/` below the working directory, where the workflow puts it as well.

    Raises:
        UserError: a name is not known, or a stage fails; it says what to do.
    """
    from flexifed.study import single

    study = _study(config)
    registry.check("strategy", strategy)
    if seed < 0:
        raise UserError(f"seed: expected 0 or more, got {seed}.")
    blocks = dict.fromkeys((cell.dataset, cell.family, cell.protocol) for cell in study.cells())
    if (dataset, family, protocol) not in blocks:
        raise registry.unknown("block of the study", f"{dataset}, {family}, {protocol}", map(", ".join, blocks))
    return single.run(study.run(Cell(dataset, family, strategy, protocol, seed)), device)


def _study(config: str | Path | Sequence[str | Path] | Mapping[str, Any]) -> "Study":
    from flexifed.study.config import parse, read

    if isinstance(config, Mapping):
        return parse(config)
    paths = [config] if isinstance(config, str | Path) else config
    return read(*map(Path, paths))


@contextmanager
def _collected(study_folder: Path) -> Iterator[tuple[Path, Path]]:
    """`cells.parquet` and `runs.parquet` of the cells that are finished, for as long as the block runs."""
    found = sorted(record.parent for record in study_folder.glob("cells/*/*/*/*/seed*/run.json"))
    folders = [folder for folder in found if all((folder / name).exists() for name in layout.cell_files())]
    if not folders:
        raise UserError(f"{study_folder} holds no finished cell; the folder of a study is results/ and its name.")
    with TemporaryDirectory() as folder:
        cells, records = Path(folder, "cells.parquet"), Path(folder, "runs.parquet")
        collect.collect(folders, cells, records)
        yield cells, records
