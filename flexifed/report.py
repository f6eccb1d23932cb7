"""One self-contained HTML page about a study: the answer first, then tables, figures and provenance."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import pandas as pd

from flexifed import effects, effects_text, files, tables
from flexifed.cell import Cell
from flexifed.collect import CELL, read_runs
from flexifed.tables import MEAN
from flexifed.titles import title
from flexifed.typeset import block_rows, block_title, blocks, header, notes, number, seeds_text

TEMPLATES = Path(__file__).parent / "templates"

CAPTIONS = {
    "effects": "What each change does to the final number of each strategy. Bars: 95 % Student t interval over seeds. "
    "Filled markers: the interval leaves zero out. Ticks: the sum of the effects that a pair combines.",
    "final_numbers": "Mean over versions of every line of Table 1 with its 95 % interval over seeds. Hollow diamonds: "
    "the paper's numbers, only where setting and data allow the comparison.",
    "convergence": "Accuracy right after aggregation, in eval(), against communication rounds. One panel per version, "
    "one line per strategy; what the band is stands under the panels. Hollow triangles at the right: the paper's "
    "numbers, only where setting and data allow the comparison.",
    "class_mix": "Samples of each client by class, training set on the left and test set on the right.",
    "sharing": "Who averages which layer with whom. Rows are clients, columns are layers from input to output; cells "
    "of one colour in a column are averaged together, grey is kept personal, blank is beyond the version's last layer.",
}
"""Kinds of figure, in the order of the page; a figure's file is `{kind}.{what}.svg`."""

HEADINGS = {
    "effects": "What each factor does",
    "final_numbers": "Final numbers",
    "convergence": "Convergence",
    "class_mix": "Class mix of the clients",
    "sharing": "Who shares which layer",
}
_OPENINGS = {
    "holds": "Ordered as in the paper, with the 95 % interval of the difference above zero:",
    "contradicted": "Ordered against the paper, with the interval below zero:",
    "not resolved": "Not resolved, the interval holds zero:",
    "one seed": "Not resolved, one seed cannot be told from chance:",
    "missing": "Missing:",
}
"""How the report introduces each verdict of `tables.verdict`."""


class Grid(NamedTuple):
    """A table as text."""

    heading: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


class Answer(NamedTuple):
    """What a block says."""

    heading: str
    sentences: list[str]


class Effects(NamedTuple):
    """What the factors do in a data set and family."""

    heading: str
    claims: list[str]
    effects: Grid
    interactions: Grid


class Picture(NamedTuple):
    """A figure as a data URI."""

    heading: str
    alt: str
    uri: str


def render(
    study: str,
    out: Path,
    *,
    tables_folder: Path,
    runs: Path,
    figures: Sequence[Path],
    expected: Sequence[Cell],
    effects_table: Path | None = None,
) -> None:
    """Write the report.

    Args:
        study: name of the study.
        out: the HTML file.
        tables_folder: where `tables.write` wrote.
        runs: `runs.parquet`.
        figures: SVG or PNG files named `{kind}.{what}.svg`, kinds as in `CAPTIONS`, shown in the order given.
        expected: the study's cells.
        effects_table: `effects.csv` of a study with effects.
    """
    first, comparisons = tables.read(tables_folder / "table1.csv"), tables.read(tables_folder / "comparisons.csv")
    run_table = read_runs(runs)
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.get_template("report.html.j2").render(
        study=study,
        effects=[*_effects(effects.read(effects_table), first)] if effects_table else [],
        effects_heading=HEADINGS["effects"],
        effects_legend=effects_text.LEGEND,
        effects_caption=CAPTIONS["effects"],
        effects_pictures=_pictures(figures, "effects"),
        answers=[answer(key, block, comparisons) for key, block in blocks(first)],
        table1=[table1_grid(key, block) for key, block in blocks(first)],
        phases=_phases_grid(tables.read(tables_folder / "phases.csv")),
        table3=_table3_grid(tables.read(tables_folder / "table3.csv")),
        published=[*_published_grids(first, tables.read(tables_folder / "published.csv"))],
        figures=[
            (HEADINGS[kind], caption, _pictures(figures, kind))
            for kind, caption in CAPTIONS.items()
            if kind != "effects"
        ],
        missing=missing(run_table, expected),
        n_expected=len(expected),
        provenance=_provenance_grid(run_table),
        data=_data_grid(run_table),
        hours=f"{run_table['seconds'].sum() / 3600:.1f}",
    )
    with files.complete(out) as partial:
        partial.write_text(page, encoding="utf-8")


def missing(runs: pd.DataFrame, expected: Sequence[Cell]) -> list[str]:
    """The expected cells that have no run."""
    there = {Cell(*values) for values in runs[CELL].itertuples(index=False)}
    return [str(cell) for cell in expected if cell not in there]


# The answer


def answer(key: tuple[str, str, str], block: pd.DataFrame, comparisons: pd.DataFrame) -> Answer:
    """The order of a block's strategies, and which of the paper's orderings the seeds resolve.

    Args:
        key: dataset, family and protocol.
        block: the block's rows of Table 1.
        comparisons: as `tables.comparisons` gives it, of the whole study.
    """
    lines = block[(block["version"] == MEAN) & (block["n_seeds"] > 0)].sort_values("mean", ascending=False)
    if lines.empty:
        return Answer(block_title(*key), ["Missing: no cell of this block is there."])
    order = ", ".join(f"{title(line['strategy'])} {number(line)}" for _, line in lines.iterrows())
    sentences = [f"Accuracy in percent, mean over versions ({seeds_text(block)}): {order}."]
    same = (comparisons[["dataset", "family", "protocol"]] == list(key)).all(axis=1)
    pairs = comparisons[same]
    for outcome, opening in _OPENINGS.items():
        told = [_comparison(pair) for _, pair in pairs[pairs["verdict"] == outcome].iterrows()]
        sentences += [f"{opening} {'; '.join(told)}."] if told else []
    remarks = notes(block)
    sentences += [f"Note: {'; '.join(remarks)}."] if remarks else []
    return Answer(block_title(*key), sentences)


def _comparison(pair: pd.Series) -> str:
    """`Max-Common over Clustered-Common +2.5 (1.1 to 3.9)`."""
    text = f"{title(pair['higher'])} over {title(pair['lower'])}"
    if pair["n_seeds"] == 0:
        return text
    interval = f" ({pair['ci95_low']:.1f} to {pair['ci95_high']:.1f})" if pair["n_seeds"] > 1 else ""
    return f"{text} {pair['difference']:+.1f}{interval}"


def _effects(table: pd.DataFrame, first: pd.DataFrame) -> Iterator[Effects]:
    """A study's effects by data set and family; grids have Table 1's notes on the base."""
    for heading, block in effects_text.blocks(table):
        columns, caveats = effects_text.columns(block), effects_text.caveats(block, first)
        grids = [
            Grid(name, columns, effects_text.rows(block, quantity), caveats)
            for name, quantity in (("Effects", "effect"), ("Pairs less the sum of their parts", "interaction"))
        ]
        yield Effects(heading, effects_text.claims(block), *grids)


# Tables as text


def table1_grid(key: tuple[str, str, str], block: pd.DataFrame) -> Grid:
    """A block of Table 1."""
    return Grid(f"{block_title(*key)} ({seeds_text(block)})", header(key[1], block), block_rows(block), notes(block))


def _points(value: float, signed: bool = False) -> str:
    if pd.isna(value):
        return "–"
    return f"{value:+.1f}" if signed else f"{value:.1f}"


def _phases_grid(table: pd.DataFrame) -> Grid:
    columns = ["block", "strategy", "after aggregation", "before", "difference", "95 % interval", "training mode"]
    rows = [
        [
            block_title(line["dataset"], line["family"], line["protocol"]),
            title(line["strategy"]),
            *([_points(line["aggregated"]), _points(line["local"])] if line["n_seeds"] else ["missing", "missing"]),
            _points(line["difference"], signed=True),
            f"{line['difference_ci95_low']:+.1f} to {line['difference_ci95_high']:+.1f}"
            if line["n_seeds"] > 1
            else "–",
            _points(line["train_mode"]),
        ]
        for _, line in table.iterrows()
    ]
    return Grid("When and how accuracy is measured", columns, rows, [])


def _table3_grid(table: pd.DataFrame) -> Grid:
    columns = ["block", "classifier averaged", "ours", "paper's Table 3", "note"]
    rows = [
        [
            block_title(line["dataset"], line["family"], line["protocol"]),
            {"all": "across versions", "none": "never", "same_architecture": "within a version"}[line["classifier"]],
            number(line),
            _points(line["paper"]),
            line["note"],
        ]
        for _, line in table.iterrows()
    ]
    return Grid("Averaging the classifier (Max-Common, mean over versions)", columns, rows, [])


def _published_grids(first: pd.DataFrame, published: pd.DataFrame) -> Iterator[Grid]:
    """Ours beside what the paper and the reproductions report, a grid per block that has a comparable line."""
    line_columns = ["dataset", "family", "strategy", "source"]
    means = dict(zip(published[line_columns].itertuples(index=False, name=None), published["mean"], strict=True))
    sources = list(published["source"].unique())
    for (dataset, family, protocol), block in blocks(first[first["version"] == MEAN]):
        if block["paper"].isna().all():
            continue
        rows = [
            [title(line["strategy"]), "not comparable" if line["n_seeds"] and pd.isna(line["paper"]) else number(line)]
            + [_points(means.get((dataset, family, line["strategy"], source), float("nan"))) for source in sources]
            for _, line in block.iterrows()
        ]
        yield Grid(block_title(dataset, family, protocol), ["strategy", "this study", *sources], rows, notes(block))


def _data_grid(runs: pd.DataFrame) -> Grid:
    columns = ["data set", "classes", "training samples", "test samples", "verified", "how", "options", "notes"]
    fields = ["dataset", "classes", "n_train", "n_test", "verified", "source_how", "data_options", "data_notes"]
    rows = [
        [title(d), str(c), f"{train:,}", f"{test:,}", "yes" if verified else "no", how, options, remarks]
        for d, c, train, test, verified, how, options, remarks in runs[fields].drop_duplicates().itertuples(index=False)
    ]
    return Grid("Data", columns, rows, [])


def _provenance_grid(runs: pd.DataFrame) -> Grid:
    columns = ["cell", "commit", "code", "device", "torch", "engine", "options", "rounds", "seconds", "started"]
    columns += ["MB up / down per round"]
    rows = [
        [
            "/".join(str(run[key]) for key in CELL),
            "not recorded" if pd.isna(run["commit"]) else f"{run['commit'][:12]}{' + changes' if run['dirty'] else ''}",
            run["code"][:12],
            run["device"],
            str(run["torch"]),
            f"{run['engine']}, {run['precision']}",
            run["family_options"],
            str(run["rounds"]),
            f"{run['seconds']:,.0f}",
            run["started"],
            f"{run['bytes_up_per_round'] / 1e6:,.2f} / {run['bytes_down_per_round'] / 1e6:,.2f}",
        ]
        for _, run in runs.iterrows()
    ]
    dirty = int(runs["dirty"].eq(True).sum())
    return Grid(
        "Runs", columns, rows, [f"{runs['commit'].nunique()} commit(s), {dirty} run(s) with uncommitted changes"]
    )


# Figures


def _pictures(figures: Sequence[Path], kind: str) -> list[Picture]:
    return [_picture(path) for path in figures if path.name.split(".")[0] == kind]


def _picture(path: Path) -> Picture:
    kind, *what = path.stem.split(".")
    heading = figure_title(kind, what)
    kind_of_image = {".svg": "svg+xml", ".png": "png"}[path.suffix]
    uri = f"data:image/{kind_of_image};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return Picture(heading, f"{heading}. {CAPTIONS[kind]}", uri)


def figure_title(kind: str, what: Sequence[str]) -> str:
    """Title from the parts of a figure's file name, e.g. `convergence`, [`cifar10`, `vgg`, `official`]."""
    if not what:
        return HEADINGS[kind]
    names, last = [title(name) for name in what[:-1]], what[-1]
    if kind == "class_mix":
        return f"{title(what[0])}, protocol {what[1]}, {last.replace('seed', 'seed ')}"
    return f"{', '.join(names)}, protocol {last}"
