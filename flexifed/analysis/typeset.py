"""Table 1 as text: Markdown to read, LaTeX (booktabs) to paste."""

from collections.abc import Container, Iterable, Iterator, Sequence

import pandas as pd

from flexifed.analysis import metrics
from flexifed.analysis.titles import title
from flexifed.sharing.titles import version_title

_LATEX = str.maketrans({c: rf"\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "±": r"$\pm$", "–": "--"})


BESIDE = ("paper", "delta")
"""First cells of the rows of a block that belong to the strategy's row above them."""


def number(line: pd.Series) -> str:
    """`84.8 ± 0.4`: mean and half-width of the 95 % interval; no interval for one seed; `missing` for none."""
    if line["n_seeds"] == 0:
        return "missing"
    if line["n_seeds"] == 1:
        return f"{line['mean']:.1f}"
    return f"{line['mean']:.1f} ± {line['ci95_high'] - line['mean']:.1f}"


def seeds_text(block: pd.DataFrame) -> str:
    """How many seeds a block's lines have: `3 seeds`, or `1 to 3 seeds`."""
    low, high = block["n_seeds"].min(), block["n_seeds"].max()
    return f"{'' if low == high else f'{low} to '}{high} seed{'' if high == 1 else 's'}"


def block_title(dataset: str, family: str, protocol: str) -> str:
    """`CIFAR-10, VGG, protocol official`."""
    return f"{title(dataset)}, {title(family)}, protocol {protocol}"


def blocks(table: pd.DataFrame) -> Iterator[tuple[tuple[str, str, str], pd.DataFrame]]:
    """Each (dataset, family, protocol) with its lines, in the table's order."""
    for key, block in table.groupby(["dataset", "family", "protocol"], sort=False):
        yield (str(key[0]), str(key[1]), str(key[2])), block


def by_family(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each data set and family with its lines, in the table's order: `CIFAR-10, VGG` and the lines of all protocols."""
    for (dataset, family), block in table.groupby(["dataset", "family"], sort=False):
        yield f"{title(str(dataset))}, {title(str(family))}", block


def block_rows(block: pd.DataFrame) -> list[list[str]]:
    """A block as text: a row per strategy, a column per version and their mean.

    Below it, where they are comparable, the paper's numbers and ours less the paper's.
    """
    rows = []
    for strategy, lines in block.groupby("strategy", sort=False):
        rows.append([title(str(strategy)), *(number(line) for _, line in lines.iterrows())])
        if lines["paper"].notna().any():
            rows.append(["paper", *("–" if pd.isna(value) else f"{value:.1f}" for value in lines["paper"])])
            rows.append(["delta", *("–" if pd.isna(value) else f"{value:+z.1f}" for value in lines["delta"])])
    return rows


def header(family: str, block: pd.DataFrame) -> list[str]:
    """Column titles of `block_rows`."""
    return ["strategy", *(version_title(family, version) for version in block["version"].unique())]


def notes(block: pd.DataFrame) -> list[str]:
    """The block's notes with the strategies they are about; first, without names, those about all that are there."""
    there = [title(name) for name in block.loc[block["n_seeds"] > 0, "strategy"].unique()]
    about: dict[str, list[str]] = {}
    for strategy, lines in block.groupby("strategy", sort=False):
        for note in filter(None, str(lines["note"].iloc[0]).split("; ")):
            about.setdefault(note, []).append(title(str(strategy)))
    texts = [note if names == there else f"{', '.join(names)}: {note}" for note, names in about.items()]
    return sorted(texts, key=lambda text: text not in about)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], words: Container[int] = (0,)) -> str:
    """A Markdown table; columns at the places in `words` are aligned to the left, the others to the right."""
    rule = ["---" if place in words else "---:" for place in range(len(columns))]
    return "\n".join(f"| {' | '.join(line)} |" for line in [columns, rule, *rows])


def markdown(table: pd.DataFrame) -> str:
    """Table 1 as Markdown, a section per block."""
    quantity = metrics.capital(metrics.titles(table["dataset"]))
    text = [
        "# Table 1",
        "",
        f"{quantity} in percent. Mean over seeds ± half-width of the 95 % Student t interval over seeds; one seed "
        "has no",
        "interval. The paper's numbers, and ours less the paper's (delta), stand below ours only where setting and",
        "data allow the comparison.",
    ]
    for (dataset, family, protocol), block in blocks(table):
        columns = header(family, block)
        text += ["", f"## {block_title(dataset, family, protocol)} ({seeds_text(block)})", ""]
        rows = [[f"*{cell}*" for cell in row] if row[0] in BESIDE else row for row in block_rows(block)]
        text.append(markdown_table(columns, rows))
        text += [line for note in notes(block) for line in ("", f"Note: {note}.")]
    return "\n".join(text) + "\n"


def latex(table: pd.DataFrame) -> str:
    """Table 1 as LaTeX, one `tabular` per block; needs the package booktabs."""
    quantity = metrics.capital(metrics.titles(table["dataset"]))
    text = [f"% {quantity} in percent: mean and half-width of the 95 % Student t interval over seeds. Needs booktabs."]
    for (dataset, family, protocol), block in blocks(table):
        columns = header(family, block)
        caption = f"{block_title(dataset, family, protocol)} ({seeds_text(block)})"
        text += ["", f"\\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}", "\\toprule"]
        text.append(f"\\multicolumn{{{len(columns)}}}{{l}}{{{caption.translate(_LATEX)}}} \\\\")
        text += ["\\midrule", " & ".join(c.translate(_LATEX) for c in columns) + " \\\\", "\\midrule"]
        for row in block_rows(block):
            cells = [cell.translate(_LATEX) for cell in row]
            text.append(" & ".join(f"\\textit{{{c}}}" for c in cells) if row[0] in BESIDE else " & ".join(cells))
            text[-1] += " \\\\"
        text += ["\\bottomrule", "\\end{tabular}", *(f"% {note}" for note in notes(block))]
    return "\n".join(text) + "\n"
