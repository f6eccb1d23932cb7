"""Table 1, a grid per block."""

import pandas as pd

from flexifed.report.parts import Grid, Section, Sources
from flexifed.typeset import block_rows, block_title, blocks, header, notes, seeds_text


def section(sources: Sources) -> Section:
    """Every block of the study."""
    about = (
        "Accuracy in percent. Mean over seeds ± half-width of the 95 % Student t interval over seeds; a single seed "
        "has no interval. The paper's numbers stand below ours only where setting and data allow the comparison."
    )
    return Section("Table 1", [grid(key, block) for key, block in blocks(sources.table1)], about)


def grid(key: tuple[str, str, str], block: pd.DataFrame) -> Grid:
    """A block of Table 1."""
    return Grid(f"{block_title(*key)} ({seeds_text(block)})", header(key[1], block), block_rows(block), notes(block))
