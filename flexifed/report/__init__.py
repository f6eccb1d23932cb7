"""One self-contained HTML page about a study: the answer first, then tables, figures and provenance.

A section of the page is a module here with a function `section(sources)`; `SECTIONS` is their order.
"""

from collections.abc import Callable
from pathlib import Path

import jinja2

from flexifed import files
from flexifed.report import (
    answer,
    classifier,
    costs,
    effects,
    headline,
    missing,
    moments,
    pictures,
    provenance,
    published,
    sweep,
    table1,
)
from flexifed.report.parts import Section, Sources

__all__ = ["Sources", "render"]

TEMPLATES = Path(__file__).parent.parent / "templates"

SECTIONS: tuple[Callable[[Sources], Section], ...] = (
    effects.section,
    sweep.section,
    answer.section,
    headline.section,
    pictures.overview,
    missing.section,
    table1.section,
    moments.section,
    classifier.section,
    costs.section,
    published.section,
    pictures.final_numbers,
    pictures.convergence,
    pictures.class_mix,
    pictures.sharing,
    provenance.section,
)


def render(sources: Sources, out: Path) -> None:
    """Write the report, without the sections that have nothing to show.

    Args:
        sources: what the page is made from.
        out: the HTML file.
    """
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    sections = [make(sources) for make in SECTIONS]
    page = environment.get_template("report.html.j2").render(
        study=sources.study,
        n_expected=len(sources.expected),
        n_missing=len(sources.missing()),
        hours=f"{sources.runs['seconds'].sum() / 3600:.1f}",
        sections=[section for section in sections if section.parts],
    )
    with files.complete(out) as partial:
        partial.write_text(page, encoding="utf-8")
