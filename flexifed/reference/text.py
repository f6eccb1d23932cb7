"""What the README says of a folder of reference results: numbers beside the published ones, verdicts, and provenance.

Everything is read from the folder's tables and run records, and from `copies.json` beside the folders, which says what
is known of copies of data sets, by the digests of their samples.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from flexifed.analysis import finals, tables, titles, typeset
from flexifed.reference import queue
from flexifed.reference.report import finished
from flexifed.report import answer
from flexifed.settings.cell import Cell
from flexifed.system import files

COPIES = "copies.json"
PUBLISHED = "published: "


def section(folder: Path) -> str:
    """The README's text on the results in a folder: Markdown; says so where there are none yet."""
    runs = queue.read(folder)
    cells = finished(folder, runs)
    if not cells:
        return (
            f"**There are no full-width results yet.** None of the {len(runs)} cells in the queue "
            f"([{folder.name}](results/reference/{folder.name}/{queue.FILE})) has been run: it waits for a GPU. "
            "[docs/reference.md](docs/reference.md) holds the command."
        )
    first = tables.read(folder / "tables/table1.csv")
    comparisons = tables.read(folder / "tables/comparisons.csv")
    published = tables.read(folder / "tables/published.csv")
    there = {key: block for key, block in typeset.blocks(first) if (block["n_seeds"] > 0).any()}
    beside = {key: block for key, block in there.items() if block["paper"].notna().any()}
    apart = {key: block for key, block in there.items() if key not in beside}
    parts = [f"{len(cells)} of the {len(runs)} cells in the queue have been run. Mean over versions in percent."]
    if beside:
        parts.append(_table(row for key, block in beside.items() for row in _beside(key, block, published)))
    if apart:
        parts += ["Not to be set beside the paper's numbers, for what stands in each line:", _table(_apart(apart))]
    answers = {typeset.block_title(*key): answer.sentences(key, block, comparisons) for key, block in there.items()}
    parts.append("\n".join(f"- **{block}.** {' '.join(_orderings(told))}" for block, told in answers.items()))
    records = [files.read_object(cell / "run.json") for cell in cells]
    parts.append(_provenance(records, files.read_json(folder.parent / COPIES)))
    return "\n\n".join(parts)


def _orderings(sentences: list[str]) -> list[str]:
    """What a block's answer says of the published orderings; its numbers stand in the table."""
    return [sentence for sentence in sentences[1:] if not sentence.startswith("Note:")] or sentences[:1]


def _table(rows: Iterable[list[str]], head: tuple[str, ...] = titles.STRATEGIES) -> str:
    return typeset.markdown_table(["", *map(titles.title, head)], rows)


def _numbers(label: str, block: pd.DataFrame) -> list[str]:
    means = block[block["version"] == finals.MEAN]
    numbers = dict(zip(means["strategy"], (typeset.number(line) for _, line in means.iterrows()), strict=True))
    return [label, *(numbers.get(strategy, "–") for strategy in titles.STRATEGIES)]


def _label(key: tuple[str, str, str], block: pd.DataFrame) -> str:
    """The block, and what stands against its numbers or must be known of them."""
    return ": ".join(
        filter(None, [f"{typeset.block_title(*key)} ({typeset.seeds_text(block)})", "; ".join(typeset.notes(block))])
    )


def _beside(key: tuple[str, str, str], block: pd.DataFrame, published: pd.DataFrame) -> Iterator[list[str]]:
    """Our line, and the line of everybody who published numbers of the data set and family."""
    yield _numbers(f"**{_label(key, block)}**", block)
    same = published[(published[["dataset", "family", "protocol"]] == list(key)).all(axis=1)]
    for source, lines in same.groupby("source", sort=False):
        means = dict(zip(lines["strategy"], lines["mean"], strict=True))
        yield [f"{PUBLISHED}{source}", *(f"{means[s]:.1f}" if s in means else "–" for s in titles.STRATEGIES)]


def _apart(there: Mapping[tuple[str, str, str], pd.DataFrame]) -> Iterator[list[str]]:
    for key, block in there.items():
        yield _numbers(_label(key, block), block)


def _provenance(records: list[dict[str, Any]], copies: list[dict[str, str]]) -> str:
    """A line for each block: its cells, their machine, how long they took, and what data they saw."""
    blocks: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in records:
        cell = Cell(**record["cell"])
        blocks.setdefault((cell.dataset, cell.family, cell.protocol), []).append(record)
    head = ["", "cells", "seeds", "machine", "minutes per cell", "at a time", "data"]
    lines = []
    for key, group in blocks.items():
        minutes = [record["seconds"] / 60 for record in group]
        beside = {record["side_by_side"] for record in group if record.get("side_by_side")}
        lines.append(
            [
                typeset.block_title(*key),
                str(len(group)),
                ", ".join(map(str, sorted({record["cell"]["seed"] for record in group}))),
                "; ".join(sorted({session["device"] for record in group for session in _sessions(record)})),
                _span(minutes, ".1f"),
                _span(sorted(beside), "d") if beside else "not recorded",
                "; ".join(sorted({_data(record["data"], copies) for record in group})),
            ]
        )
    return typeset.markdown_table(head, lines, words=range(len(head)))


def _sessions(record: Mapping[str, Any]) -> list[Any]:
    """The sessions of a run; older records have none, and the device of their only one."""
    found: list[Any] = record.get("sessions", [record])
    return found


def _span(values: list[Any], form: str) -> str:
    low, high = (format(value, form) for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _data(card: Mapping[str, Any], copies: list[dict[str, str]]) -> str:
    """What is known of the copy, or else how it came and its size."""
    for copy in copies:
        if all(copy[name] == card["digests"][name] for name in ("train.npy", "test.npy")):
            return copy["text"]
    return f"{card['source']['how']}: {card['n_train']:,} + {card['n_test']:,} samples"
