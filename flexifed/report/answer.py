"""The answer: the order of a block's strategies, and which of the paper's orderings the seeds resolve."""

import pandas as pd

from flexifed.report.parts import Remark, Section, Sources, Words
from flexifed.tables import MEAN
from flexifed.titles import title
from flexifed.typeset import block_title, blocks, notes, number, seeds_text

OPENINGS = {
    "holds": "Ordered as in the paper, with the 95 % interval of the difference above zero:",
    "contradicted": "Ordered against the paper, with the interval below zero:",
    "not resolved": "Not resolved, the interval holds zero:",
    "one seed": "Not resolved, one seed cannot be told from chance:",
    "missing": "Missing:",
}
"""How each verdict of `tables.verdict` is introduced."""


def section(sources: Sources) -> Section:
    """A paragraph per block."""
    comparisons = sources.table("comparisons")
    told = [
        Words(" ".join(sentences(key, block, comparisons)), block_title(*key)) for key, block in blocks(sources.table1)
    ]
    how = Remark(
        "Orderings are judged by the differences within a seed (same partition, same initial weights) and their 95 % "
        "Student t interval over seeds; they are not adjusted for the number of comparisons."
    )
    return Section("The answer by protocol" if sources.has_effects else "The answer", [*told, how])


def sentences(key: tuple[str, str, str], block: pd.DataFrame, comparisons: pd.DataFrame) -> list[str]:
    """What a block says.

    Args:
        key: dataset, family and protocol.
        block: the block's rows of Table 1.
        comparisons: as `tables.comparisons` gives it, of the whole study.
    """
    lines = block[(block["version"] == MEAN) & (block["n_seeds"] > 0)].sort_values("mean", ascending=False)
    if lines.empty:
        return ["Missing: no cell of this block is there."]
    order = ", ".join(f"{title(line['strategy'])} {number(line)}" for _, line in lines.iterrows())
    found = [f"Accuracy in percent, mean over versions ({seeds_text(block)}): {order}."]
    same = (comparisons[["dataset", "family", "protocol"]] == list(key)).all(axis=1)
    pairs = comparisons[same]
    for outcome, opening in OPENINGS.items():
        told = [_comparison(pair) for _, pair in pairs[pairs["verdict"] == outcome].iterrows()]
        found += [f"{opening} {'; '.join(told)}."] if told else []
    remarks = notes(block)
    found += [f"Note: {'; '.join(remarks)}."] if remarks else []
    return found


def _comparison(pair: pd.Series) -> str:
    """`Max-Common over Clustered-Common +2.5 (1.1 to 3.9)`."""
    text = f"{title(pair['higher'])} over {title(pair['lower'])}"
    if pair["n_seeds"] == 0:
        return text
    interval = f" ({pair['ci95_low']:.1f} to {pair['ci95_high']:.1f})" if pair["n_seeds"] > 1 else ""
    return f"{text} {pair['difference']:+.1f}{interval}"
