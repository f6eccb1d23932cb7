"""The whole benchmark: every part in turn, each written as soon as it is measured."""

import logging
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from flexifed.bench import (
    averaging,
    candidates,
    cells,
    clustering,
    dryrun,
    figure,
    machine,
    memory,
    rounds,
    scaling,
    sizes,
    summary,
)
from flexifed.bench.process import process
from flexifed.bench.sizes import Size
from flexifed.bench.workload import Workload, write_samples
from flexifed.system import files, progress

log = logging.getLogger("flexifed")

Rows = list[dict[str, Any]]
SCALING_FAMILY = AVERAGING_FAMILY = "vgg"
"""The family with the most weights, whose rounds the paper's reproductions timed."""


def run(out: Path, device: str | None = None, *, quick: bool = False) -> None:
    """Measure everything and write it into the folder `out`.

    Args:
        out: gets rounds.csv, cells.csv (on a CPU with several cores), aggregation.csv, clustering.csv, scaling.csv,
            dryrun.csv (where Snakemake is installed), machine.json, bench.md and bench.{png,svg}.
        device: "cpu", "cuda", "cuda:1" ...; by default a GPU if there is one.
        quick: measure next to nothing, to see that it works.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    started, size = time.monotonic(), sizes.of(device, quick=quick)
    for name in summary.PARTS:
        (out / f"{name}.csv").unlink(missing_ok=True)  # of an older run, on another machine perhaps
    with tempfile.TemporaryDirectory() as folder:
        write_samples(Path(folder), size.n_train, size.n_test)
        measured = _measure(Path(folder), out, size, device)
    described = machine.describe(device)
    rates: dict[str, list[float]] = {}
    for row in measured:
        rates.setdefault(row["precision"], []).append(row["product_tflops"])
    described["product_tflops"] = {precision: statistics.median(values) for precision, values in rates.items()}
    described |= {"size": size.name, "quick": quick, "seconds": round(time.monotonic() - started, 1)}
    files.write_json(out / "machine.json", described)
    figure.write(out)
    with files.complete(out / "bench.md") as partial:
        partial.write_text(summary.markdown(out) + "\n")


def _measure(folder: Path, out: Path, size: Size, device: str) -> Rows:
    """All parts; returns the rows of rounds.csv."""
    cores = torch.get_num_threads()  # what PyTorch takes for itself, or OMP_NUM_THREADS
    work = {f: Workload(folder, f, size.width, size.protocol, size.n_train) for f in size.families}
    base = Workload(folder, SCALING_FAMILY, size.scaling_width, size.protocol, size.n_train)
    curves = scaling.curves(base, size)
    side_by_side = device == "cpu" and cores > 1
    reason = dryrun.missing()
    if reason:
        log.warning("bench: no dry run is measured: %s", reason)
    steps = (
        len(work) * (1 + side_by_side)
        + len(size.aggregation_clients)
        + len(size.clustering_clients)
        + len(curves)
        + len(size.seeds) * (not reason)
    )
    tables: dict[str, Rows] = {name: [] for name in summary.PARTS}
    trained = tables["rounds"]
    with progress.bar("bench", "measurement") as shown:
        done = 0

        def add(name: str, columns: Sequence[str], rows: Rows) -> None:
            nonlocal done
            done += 1
            tables[name] += rows
            with files.complete(out / f"{name}.csv") as partial:
                pd.DataFrame(tables[name], columns=list(columns)).to_csv(partial, index=False, float_format="%.6g")
            shown(done, steps)

        for workload in work.values():
            known, n_test = candidates.known(device), size.n_test
            one = rounds.measure(workload, known, size.rounds, n_test=n_test, device=device, threads=cores)
            add("rounds", rounds.COLUMNS, one)
        for family, workload in work.items() if side_by_side else ():
            best = rounds.fastest(trained, family)
            peak = _peak(trained, family, best)
            add("cells", cells.COLUMNS, cells.measure(workload, best, size.cells, cores=cores, cell_bytes=peak))
        for workload in _averaging(folder, size, device):
            one = averaging.measure(workload, candidates.aggregating(), size.aggregation, device=device, threads=cores)
            add("aggregation", averaging.COLUMNS, one)
        for clients in size.clustering_clients:
            most = size.clustering_pairwise
            one = clustering.measure(AVERAGING_FAMILY, clients, size.clustering, most_pairwise=most)
            add("clustering", clustering.COLUMNS, one)
        best = rounds.fastest(trained, SCALING_FAMILY)
        for varied, curve in curves.items():
            one = scaling.measure(varied, curve, best, size.scaling, device=device, threads=cores)
            add("scaling", scaling.COLUMNS, one)
        for seeds in () if reason else size.seeds:
            add("dryrun", dryrun.COLUMNS, dryrun.measure(seeds, size.dryrun))
    return trained


def _peak(rows: Rows, family: str, candidate: candidates.Candidate) -> float:
    """Bytes that a candidate took at most in `rounds`."""
    of = (family, candidate.engine, candidate.precision)
    (peak,) = (r["peak_memory_mb"] for r in rows if (r["family"], r["candidate"], r["precision"]) == of)
    return 1e6 * float(peak)


def _averaging(folder: Path, size: Size, device: str) -> Iterable[Workload]:
    """For each number of clients the widest models that fit into memory as it is then."""
    for clients in size.aggregation_clients:
        widths: Sequence[Workload] = [
            Workload(folder, AVERAGING_FAMILY, width, size.protocol, size.n_train).varied(
                parts=clients, clients=clients
            )
            for width in size.aggregation_widths
        ]
        with process("the free memory") as one:
            available = one.call(memory.available, torch.device(device))
        yield averaging.fitting(widths, len(candidates.aggregating()) - 1, available)
