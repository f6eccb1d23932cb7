"""What each factor does, of a study that names effects."""

from collections.abc import Iterator

import pandas as pd

from flexifed.analysis import effects, effects_text
from flexifed.analysis.typeset import by_family
from flexifed.report import pictures
from flexifed.report.parts import Grid, Part, Points, Remark, Section, Sources


def section(sources: Sources) -> Section:
    """Claims first, then the figure, then the numbers."""
    if not sources.has_effects:
        return Section(pictures.HEADINGS["effects"], [])
    table = effects.read(sources.tables_folder / "effects.csv")
    claims = [Points(effects_text.claims(block), heading) for heading, block in by_family(table)]
    parts: list[Part] = [*claims, Remark(effects_text.legend(table))]
    parts += pictures.of_kind(sources, "effects")
    about = (
        f"An effect may name a rule of its own for its changed protocol. {sources.rules()}" if sources.finals else ""
    )
    return Section(pictures.HEADINGS["effects"], [*parts, *grids(table, sources.table1)], about)


def grids(table: pd.DataFrame, first: pd.DataFrame) -> Iterator[Grid]:
    """A study's effects by data set and family, with Table 1's notes on the base; then what pairs have beyond them."""
    for heading, block in by_family(table):
        columns, caveats = effects_text.columns(block), effects_text.caveats(block, first)
        for name, quantity in (("Effects", "effect"), ("Pairs less the sum of their parts", "interaction")):
            rows = effects_text.rows(block, quantity)
            if rows:
                yield Grid(f"{name}: {heading}", columns, rows, caveats, words=effects_text.words(block))
