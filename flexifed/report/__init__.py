"""One self-contained HTML page about a study: the answer first, then tables, figures and provenance.

A section of the page is a module here with a function `section(sources)`; `SECTIONS` is their order.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
import markupsafe

from flexifed.figures.style import SPARE_COLOURS, STRATEGY_COLOURS
from flexifed.report import (
    answer,
    beside,
    brief,
    classifier,
    costs,
    effects,
    elastic,
    fairness,
    headline,
    missing,
    moments,
    pictures,
    provenance,
    published,
    seconds,
    settings,
    sweep,
    table1,
)
from flexifed.report.parts import Section, Sources
from flexifed.system import files

__all__ = ["Sources", "render", "write"]

ABOUT = (
    "Federated learning among unequal clients, from data to numbers with intervals: strategies side by side, paired by "
    "seed, and beside what others have published."
)
TEMPLATES = Path(__file__).parent / "templates"

SECTIONS: tuple[Callable[[Sources], Section], ...] = (
    brief.section,
    effects.section,
    sweep.section,
    beside.section,
    answer.section,
    headline.section,
    pictures.overview,
    missing.section,
    table1.section,
    moments.section,
    classifier.section,
    fairness.section,
    elastic.section,
    seconds.section,
    costs.section,
    published.section,
    pictures.final_numbers,
    pictures.convergence,
    pictures.loss,
    pictures.class_mix,
    pictures.budgets,
    pictures.sharing,
    settings.section,
    provenance.section,
)


def render(sources: Sources, out: Path) -> None:
    """Write the report, without the sections that have nothing to show.

    Args:
        sources: what the page is made from.
        out: the HTML file.
    """
    write(out, sources.study, ABOUT, [make(sources) for make in SECTIONS])


def write(out: Path, title: str, about: str, sections: Sequence[Section]) -> None:
    """Write a page of sections, without those that have nothing to show.

    Args:
        out: the HTML file.
        title: of the page.
        about: what it is, in a sentence.
        sections: the first stands above the contents.
    """
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    script = "\n".join((TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.js", "curves.js"))
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8") + colour_rules()
    page = environment.get_template("report.html.j2").render(
        title=title,
        about=about,
        sections=[section for section in sections if section.parts],
        script=markupsafe.Markup(script),
        style=markupsafe.Markup(style),
        policy=policy(script, style),
    )
    with files.complete(out) as partial:
        partial.write_text(page, encoding="utf-8")


def colour_rules() -> str:
    """The colour of each strategy as `--own` of the class `c{number}`, lighter on a dark screen."""
    every = [*STRATEGY_COLOURS.values(), *SPARE_COLOURS]
    rules = [f".c{number} {{ --own: {colour}; }}" for number, colour in enumerate(every)]
    dark = [f".c{n} {{ --own: color-mix(in srgb, {colour} 60%, white); }}" for n, colour in enumerate(every)]
    return "\n".join([*rules, "@media screen and (prefers-color-scheme: dark) {", *dark, "}", ""])


def policy(script: str, style: str) -> str:
    """The page's Content-Security-Policy: images in the page, this script and this style, and nothing else."""
    allowed = {"img-src": "data:", "script-src": _hash(script), "style-src": _hash(style)}
    none = ("default-src", "base-uri", "form-action")
    return "; ".join(f"{name} {what}" for name, what in {**dict.fromkeys(none, "'none'"), **allowed}.items())


def _hash(text: str) -> str:
    """A source expression that allows an inline element with exactly this content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
