"""The benchmark as Markdown, from its files alone: what bench.md holds and a README can quote. Needs no torch."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from flexifed.analysis import typeset
from flexifed.analysis.titles import title
from flexifed.system import files

Cell = Callable[[Mapping[Any, Any]], str]


def markdown(folder: Path, parts: Iterable[str] | None = None) -> str:
    """Where it was measured, then a table for each part that is there.

    Args:
        folder: with machine.json and the CSV files of a benchmark (see `flexifed.bench.run`).
        parts: names of CSV files, as in `PARTS`; by default all of them.
    """
    texts = [_machine(files.read_json(folder / "machine.json"))]
    for name in PARTS if parts is None else parts:
        heading, columns = PARTS[name]
        path = folder / f"{name}.csv"
        rows = pd.read_csv(path).to_dict("records") if path.exists() else []
        if rows:
            texts += [heading, _table(columns, rows)]
    return "\n\n".join(texts)


def _machine(machine: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{precision} {rate:.3g}" for precision, rate in machine["product_tflops"].items())
    host = "" if machine["kind"] == "cpu" else f" ({machine['processor']})"
    flags = ", ".join(flag for flag in machine["cpu_flags"] if flag.startswith(("amx", "avx512_bf16", "avx512_fp16")))
    commit = "" if machine["commit"] is None else f", commit {machine['commit']['id'][:7]}"
    return (
        f"{machine['device']}, {machine['cores']} processor cores{host}{f' with {flags}' if flags else ''}, "
        f"torch {machine['packages']['torch']}; {machine['date'][:10]}{commit}. "
        f"A round is {machine['size']}. Large matrix products reach, in TFLOP/s: {rates}."
    )


def _table(columns: Mapping[str, Cell], rows: Iterable[Mapping[Any, Any]]) -> str:
    text = ("family", "trained by", "averaged by", "compared by", "varied", "versions")
    lines = [[cell(row) for cell in columns.values()] for row in rows]
    return typeset.markdown_table(
        list(columns), lines, words=[place for place, name in enumerate(columns) if name in text]
    )


def _number(name: str, digits: int = 3) -> Cell:
    """A column's value with so many significant digits; a dash where it was not measured."""
    return lambda row: _digits(row[name], digits)


def _digits(value: float, digits: int = 3) -> str:
    if pd.isna(value):
        return "–"
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if abs(value) >= 10 ** (digits - 1) or "e+" in text else text


def _range(name: str) -> Cell:
    """Median and range: `2.1 × (2.0–2.2)`."""
    return lambda row: (
        "–"
        if pd.isna(row[name])
        else f"{_digits(row[name])} × ({_digits(row[f'{name}_low'])}–{_digits(row[f'{name}_high'])})"
        if row[f"{name}_low"] < row[f"{name}_high"]
        else f"{_digits(row[name])} ×"
    )


def _candidate(row: Mapping[Any, Any]) -> str:
    precision = row.get("precision", "float32")
    return f"{row['candidate']}" + ("" if precision == "float32" else f", {precision}")


def _family(row: Mapping[Any, Any]) -> str:
    return title(row["family"]) + ("" if row["width"] == 1 else f", width {row['width']:g}")


PARTS: dict[str, tuple[str, dict[str, Cell]]] = {
    "rounds": (
        "A round's local training and one test of every client (averaging has its own table); `plain` is the serial "
        "loop after the authors' script, ratios are to it, turn by turn, median and range:",
        {
            "family": _family,
            "trained by": _candidate,
            "threads": _number("threads"),
            "s a round": _number("seconds"),
            "samples/s": _number("samples_per_second"),
            "to plain": _range("ratio"),
            "peak memory, MB": _number("peak_memory_mb"),
            "of matrix products": lambda row: f"{100 * row['fraction']:.0f} %",
        },
    ),
    "cells": (
        "One cell on all cores against cells of one thread side by side, samples of all cells together:",
        {
            "family": _family,
            "trained by": _candidate,
            "cells": _number("cells"),
            "threads each": _number("threads"),
            "samples/s": _number("samples_per_second"),
            "to one cell": _range("ratio"),
        },
    ),
    "aggregation": (
        "Aggregation by Max-Common; `pairwise` is the authors' way, extra memory is beyond the clients' weights:",
        {
            "family": _family,
            "clients": _number("clients"),
            "averaged by": _candidate,
            "s": _number("seconds"),
            "to pairwise": _range("ratio"),
            "extra memory, models": _number("extra_models"),
        },
    ),
    "clustering": (
        "Who shares which layer, of clients that hold the four versions in equal numbers: comparing chains in pairs, "
        "as the authors' script does, against the prefix tree; a comparison is a layer's signature compared or hashed:",
        {
            "family": lambda row: title(row["family"]),
            "clients": _number("clients", 6),
            "compared by": lambda row: str(row["candidate"]),
            "comparisons": _number("comparisons"),
            "comparisons for each client": _number("per_client"),
            "s": _number("seconds"),
            "to pairwise": _range("ratio"),
        },
    ),
    "scaling": (
        "Cost of a round as one thing varies (samples: of a client; depth: weight layers of the one version used):",
        {
            "family": _family,
            "trained by": _candidate,
            "varied": lambda row: str(row["varied"]),
            "value": _number("value", 6),
            "SGD steps": _number("steps", 6),
            "s a round": _number("seconds"),
        },
    ),
    "dryrun": (
        "`snakemake -n` of a study of which nothing has been run:",
        {
            "cells": _number("cells", 6),
            "jobs": _number("jobs", 6),
            "s": _number("seconds"),
            "processor s": _number("cpu_seconds"),
        },
    ),
}
"""By CSV file: a sentence and the columns of the table below it."""
