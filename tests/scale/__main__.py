"""Measure what the driver costs, by the number of cells, and write docs/scale.csv and the tables of docs/scale.md.

    python -m tests.scale 120 2000      measure these sizes (anew)
    python -m tests.scale               only write the tables from docs/scale.csv

The study is the paper's Table 1 with more seeds, in a private copy of the workflow. Its jobs go to the stand-in
executor in `plugin/`, which touches their outputs, so no data is needed and the driver is all that is measured.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import yaml

from flexifed import generated, models
from flexifed.analysis import titles
from flexifed.analysis.typeset import markdown_table
from flexifed.settings import layout
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol
from flexifed.study import config
from flexifed.system.files import complete

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow", "config", "envs", "flexifed", "pyproject.toml")
TABLE, PAGE = ROOT / "docs/scale.csv", ROOT / "docs/scale.md"
PER_SEED = 40  # cells of Table 1 with one seed
GPUS = 1000  # jobs submitted at a time
CLIENTS = 1_000_000


@dataclass(frozen=True)
class Measured:
    """One command of the driver at one size.

    Attributes:
        cells: Training jobs of the study.
        what: Name of the command.
        jobs: Jobs that it scheduled, 0 where it scheduled none.
        wall_s: Seconds from start to end.
        cpu_s: Processor seconds, of user and system.
        peak_mb: Largest resident memory, in 10^6 bytes.
        files: Files in `results/` and `.snakemake/` afterwards.
    """

    cells: int
    what: str
    jobs: int
    wall_s: float
    cpu_s: float
    peak_mb: int
    files: int


def study_of(cells: int) -> dict[str, object]:
    """Table 1 with as many seeds as it takes."""
    table1: dict[str, object] = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    return table1 | {"study": "scale", "seeds": list(range(cells // PER_SEED))}


def copy_workflow(folder: Path) -> None:
    """The workflow without its local rules, which would run here and need data: the stand-in takes all jobs."""
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    for file in (folder / "workflow/Snakefile", *(folder / "workflow/rules").glob("*.smk")):
        file.write_text(file.read_text().replace("    localrule: True\n", ""))


def measure(cells: int, folder: Path) -> list[Measured]:
    """Every command at one size, in the order in which a user would meet them."""
    copy_workflow(folder)
    (folder / "scale.yaml").write_text(yaml.safe_dump(study_of(cells)))
    snakemake = [sys.executable, "-m", "snakemake", "--quiet", "all", "--configfile", "scale.yaml"]
    last: Cell = config.read(folder / "scale.yaml").cells()[-1]
    record = layout.study_folder("scale") / layout.CELL.format(**vars(last)) / "run.json"
    remote = [
        "--executor",
        "standin",
        "--jobs",
        str(GPUS),
        "--seconds-between-status-checks",
        "1",
        "--latency-wait",
        "0",
    ]
    commands = {
        "list the cells": [sys.executable, "-m", "flexifed", "cells", "--config", "scale.yaml"],
        "dry run of everything": [*snakemake, "--cores", "1", "--dry-run"],
        "run everything": [*snakemake, *remote],
        "dry run when all is done": [*snakemake, "--cores", "1", "--dry-run"],
        "start of one job": [*snakemake, "--cores", "1", "--dry-run", "--allowed-rules", "train", "--", str(record)],
    }
    return [timed(cells, what, command, folder) for what, command in commands.items()]


def timed(cells: int, what: str, command: list[str], folder: Path) -> Measured:
    """Run one command to its end."""
    log = folder / f"{what.replace(' ', '_')}.log"
    paths = [str(ROOT / "tests/scale/plugin"), *filter(None, [os.environ.get("PYTHONPATH")])]
    begin = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if status:
        raise SystemExit(f"{what}, {cells} cells: {' '.join(command)} failed:\n{log.read_text()[-3000:]}")
    jobs = len(list((folder / "results").rglob("*.log"))) if what == "run everything" else 0
    files = sum(len(names) for part in ("results", ".snakemake") for *_, names in os.walk(folder / part))
    done = Measured(
        cells, what, jobs, round(wall, 2), round(used.ru_utime + used.ru_stime, 2), used.ru_maxrss // 977, files
    )
    print(done, flush=True)
    return done


def keep(new: list[Measured]) -> None:
    """Put measurements into the table, in place of older ones of the same size."""
    old = [row for row in read() if row.cells not in {m.cells for m in new}]
    with complete(TABLE) as partial, partial.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Measured)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in sorted([*old, *new], key=lambda row: row.cells))


def read() -> list[Measured]:
    """The table so far."""
    if not TABLE.exists():
        return []
    with TABLE.open(newline="") as stream:
        return [
            Measured(**{f.name: f.type(row[f.name]) for f in fields(Measured)})  # type: ignore[operator]
            for row in csv.DictReader(stream)
        ]


def clients_table() -> str:
    """`docs/clients.csv`, which `tests.scale.clients` writes."""
    with (ROOT / "docs/clients.csv").open() as file:
        rows = list(csv.DictReader(file))
    heads = ["clients", "assembled in", "a round", "index of samples", "peak memory"]
    return markdown_table(
        heads,
        [
            [
                f"{int(row['clients']):,}",
                f"{row['assemble_seconds']} s",
                f"{row['round_seconds']} s",
                f"{row['index_mb']} MB",
                f"{float(row['peak_mb']):,.0f} MB",
            ]
            for row in rows
        ],
        words=(),
    )


def driver_table(rows: list[Measured]) -> str:
    """Seconds and memory of each command."""
    sizes, by = _by_command(rows)
    lines = []
    for what in dict.fromkeys(row.what for row in rows):
        each = [by[what, size] for size in sizes]
        lines.append([what, *(f"{row.cpu_s:,.1f} s ({row.wall_s:,.1f} s), {row.peak_mb:,} MB" for row in each)])
    runs = [by["run everything", size] for size in sizes]
    lines.append(["jobs scheduled", *(f"{run.jobs:,}" for run in runs)])
    lines.append(["files afterwards", *(f"{run.files:,}" for run in runs)])
    return markdown_table(["", *(f"{size:,} cells" for size in sizes)], lines)


def limits_table(rows: list[Measured]) -> str:
    """What follows for a thousand GPUs from each size."""
    sizes, by = _by_command(rows)
    runs = [by["run everything", size] for size in sizes]
    per_job = [run.cpu_s / run.jobs for run in runs]
    files = [run.files / size for run, size in zip(runs, sizes, strict=True)]
    start = [by["start of one job", size].cpu_s for size in sizes]
    lines = [
        ["driver, for each job", *(f"{1000 * s:.0f} ms" for s in per_job)],
        ["jobs a second that one core plans and schedules", *(f"{1 / s:.0f}" for s in per_job)],
        [f"shortest cell with which that keeps {GPUS:,} GPUs busy", *(f"{GPUS * s:.0f} s" for s in per_job)],
        ["files for each cell", *(f"{n:.1f}" for n in files)],
        ["files made a second at that pace", *(f"{n / s:.0f}" for n, s in zip(files, per_job, strict=True))],
        ["a job's own start, before PyTorch's", *(f"{s:.1f} s" for s in start)],
        ["the same as a part of ten minutes", *(f"{s / 6:.1f} %" for s in start)],
    ]
    return markdown_table(["", *(f"{size:,} cells" for size in sizes)], lines)


def federation_table() -> str:
    """What grows with the clients: protocol `official`, and a million clients in its place."""
    protocol = Protocol()
    sizes = (protocol.clients, CLIENTS)
    lines = []
    for family, shape in {"vgg": (3, 32, 32), "resnet": (3, 32, 32), "charcnn": (1024,), "vdcnn": (1024,)}.items():
        built = [models.build_meta(family, version, shape, 10, {}) for version in protocol.versions]
        mean = sum(4 * p.numel() for model in built for p in model.parameters()) / len(built)
        lines.append([f"weights of all clients, {titles.title(family)}", *(f"{n * mean / 1e9:,.2f} GB" for n in sizes)])
    numbers = (
        6  # training loss; loss and accuracy before aggregation; loss, accuracy and that in training mode after it
    )
    rows = [f"{n * protocol.rounds * numbers:,}" for n in sizes]
    lines.append([f"rows of a history of {protocol.rounds} rounds", *rows])
    lines.append(["images of CIFAR-10 for each client", *(f"{50_000 / max(n, 20):,.2f}" for n in sizes)])
    return markdown_table(["", *(f"{n:,} clients" for n in sizes)], lines)


def _by_command(rows: list[Measured]) -> tuple[list[int], dict[tuple[str, int], Measured]]:
    """The sizes, and each measurement by command and size."""
    return sorted({row.cells for row in rows}), {(row.what, row.cells): row for row in rows}


def page() -> str:
    """The page with its tables brought up to date."""
    tables = {
        "driver": lambda: driver_table(read()),
        "clients": clients_table,
        "limits": lambda: limits_table(read()),
        "federation": federation_table,
    }
    return generated.filled(PAGE.read_text(), tables)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__.split("\n")[0])
    parser.add_argument("cells", type=int, nargs="*", help=f"numbers of cells to measure, multiples of {PER_SEED}")
    for cells in parser.parse_args().cells:
        with tempfile.TemporaryDirectory() as folder:
            keep(measure(cells, Path(folder)))
    text = page()
    with complete(PAGE) as partial:
        partial.write_text(text)


if __name__ == "__main__":
    main()
