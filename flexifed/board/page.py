"""The board as a page in the look of a study's report: one HTML file that asks for nothing from elsewhere."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from flexifed import report
from flexifed.analysis import published
from flexifed.analysis.statistics import Verdict
from flexifed.board import claims, folders, numbers, words
from flexifed.board.claims import Claim, Evidence
from flexifed.board.folders import Line
from flexifed.board.numbers import Number
from flexifed.report.parts import Entry, File, Grid, Judged, Remark, Section, Words

TITLE = "The board"
ABOUT = "Every number and claim that the systems covered here have published, and what became of it."


def render(results: Path, out: Path) -> None:
    """Write the page.

    Args:
        results: the folder with a folder for each queue of reference results.
        out: the HTML file.
    """
    read = folders.read(results)
    found, judged = numbers.numbers(read), claims.claims(read)
    seen = Path(os.path.relpath(results, out.parent))
    sections = [_in_short(found, judged), _sources(found), _claims(judged, seen)]
    sections += [_system(system, found, seen) for system in published.systems()]
    report.write(out, TITLE, ABOUT, [*sections, _open(found)])


def _in_short(found: Sequence[Number], judged: Sequence[Claim]) -> Section:
    rows = [[words.system_title(system), *counted] for system, counted in words.by_system(found, judged).items()]
    grid = Grid("", ["system", "numbers", *words.COUNTED, "claims that hold"], rows)
    return Section("In short", [Words(words.total(found)), grid, Remark(_plain(words.LEGEND))])


def _plain(text: str) -> str:
    """Markdown without its emphasis."""
    return re.sub(r"\*([^*]+)\*", r"\1", text)


def _sources(found: Sequence[Number]) -> Section:
    rows: list[list[Entry]] = []
    for system, source, *counted in words.by_source(found):
        about = published.sources()[source]
        linked = File(source, about["address"]) if about["address"] else source
        rows.append([system, linked, *counted, about["against"]])
    columns = ["system", "source", "numbers", *words.COUNTED, "what stands against comparing"]
    return Section("Sources", [Grid("", columns, rows, more_words=(1, 7))])


def _claims(judged: Sequence[Claim], seen: Path) -> Section:
    first = [_claim(claim, next(iter(claim.evidence), None), seen, words.elsewhere(claim)) for claim in judged]
    every = [_claim(claim, found, seen) for claim in judged for found in claim.evidence]
    summary = f"Every claim in every block: {len(every)} comparisons"
    parts = [
        Grid("", words.CLAIM_COLUMNS, first, more_words=words.CLAIM_WORDS),
        Grid("", words.CLAIM_COLUMNS, every, more_words=words.CLAIM_WORDS, summary=summary),
    ]
    return Section("Claims", parts, words.CHOICE)


def _claim(claim: Claim, found: Evidence | None, seen: Path, elsewhere: str = "") -> list[Entry]:
    link = _link(found.folder, found.higher, seen) if found else "–"
    verdict = _verdict(claim, found, elsewhere)
    return [*words.claim_row(claim, found), verdict, words.claim_caveat(claim, found), link]


def _verdict(claim: Claim, found: Evidence | None, elsewhere: str) -> Entry:
    """The verdict, where its interval lies, and what other blocks say."""
    if found is None or found.verdict not in {*Verdict}:
        return words.judged(claim, found)
    place = f"{found.place} the claimed range" if found.place else ""
    others = f"other blocks: {elsewhere}" if elsewhere else ""
    return Judged(found.verdict, "; ".join(filter(None, [place, others])))


def _system(system: str, found: Sequence[Number], seen: Path) -> Section:
    """A grid for each source that has a number with a line of ours beside it."""
    parts = []
    for source, summary in _of_system(system, found):
        rows = [_number(number, seen) for number in found if number.source == source and number.found]
        many = f"{summary}: {len(rows)} with a line of ours beside them" if len(rows) > MANY else ""
        if rows:
            parts.append(
                Grid("" if many else summary, words.NUMBER_COLUMNS, rows, more_words=words.NUMBER_WORDS, summary=many)
            )
    return Section(words.system_title(system), parts)


MANY = 20
"""Numbers of a source that are shown; more are folded."""


def _of_system(system: str, found: Sequence[Number]) -> Iterator[tuple[str, str]]:
    """Each source of a system, and what became of its numbers in words."""
    for title, source, _, *counted in words.by_source(found):
        if title == words.system_title(system):
            said = ", ".join(f"{count} {word}" for word, count in zip(words.COUNTED, counted, strict=True))
            yield source, f"{source}: {said}"


def _number(number: Number, seen: Path) -> list[Entry]:
    assert number.found
    verdict, _, which = words.outcome(number).partition(": ")
    link = _link(number.found.folder, number.found.line, seen)
    return [*words.number_row(number), Judged(verdict, which), number.found.caveat, link]


def _open(found: Sequence[Number]) -> Section:
    about = "Numbers that nothing of ours stands beside, together where they are of the same and wait for the same."
    return Section(
        "Open numbers", [Grid("", words.OPEN_COLUMNS, words.open_rows(found), more_words=words.OPEN_WORDS)], about
    )


def _link(folder: str, line: Line, seen: Path) -> File:
    return File(folder, (seen / words.cells(folder, line)).as_posix())
