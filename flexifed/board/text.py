"""The board as Markdown, for the page of the reference results and for the README."""

from collections.abc import Iterable, Sequence

from flexifed.analysis import published
from flexifed.analysis.typeset import markdown_table
from flexifed.board import words
from flexifed.board.claims import Claim, Evidence
from flexifed.board.folders import Line
from flexifed.board.numbers import Number


def board(found: Sequence[Number], judged: Sequence[Claim]) -> str:
    """The whole board, to stand in the folder that holds the folders of results.

    Args:
        found: as `numbers.numbers` gives them.
        judged: as `claims.claims` gives them.
    """
    parts = [words.total(found), words.LEGEND, source_table(found)]
    parts += ["### Claims", words.CHOICE, _claims(judged), _blocks(judged)]
    parts += ["### Numbers with a line of ours beside them", *_by_source(found)]
    parts += ["### Open numbers", markdown_table(words.OPEN_COLUMNS, words.open_rows(found), words=words.OPEN_WORDS)]
    return "\n\n".join(parts)


def source_table(found: Sequence[Number], *systems: str) -> str:
    """How many numbers of each source came to what; of some systems, or of all."""
    titles = [words.system_title(system) for system in systems]
    rows = [
        [system, _addressed(source), *counted]
        for system, source, *counted in words.by_source(found)
        if system in titles or not titles
    ]
    return markdown_table(["system", "source", "numbers", *words.COUNTED], rows, words=(0, 1))


def _addressed(source: str) -> str:
    address = published.sources()[source]["address"]
    return f"[{source}]({address})" if address else source


def system_table(found: Sequence[Number], judged: Sequence[Claim]) -> str:
    """A row for each system, for the README: what is here, and what became of its numbers and claims."""
    rows = []
    for system, counted in words.by_system(found, judged).items():
        row = published.systems()[system]
        by = f"[{row['by']}]({row['address']})" if row["address"] else row["by"]
        page = f"[page]({row['page']})" if row["page"] else ""
        rows.append([f"**{row['title']}** ({by})", row["about"], *counted, page])
    heads = ["system", "what is here", "numbers", *words.COUNTED, "claims that hold", ""]
    return markdown_table(heads, rows, words=(0, 1, 8))


def _by_source(found: Sequence[Number]) -> Iterable[str]:
    """A fold for each source that has a number with a line of ours beside it."""
    for source in published.sources():
        rows = [_number(number) for number in found if number.source == source and number.found]
        if rows:
            counted = next(row for row in words.by_source(found) if row[1] == source)
            said = ", ".join(f"{count} {word}" for word, count in zip(words.COUNTED, counted[3:], strict=True))
            summary = f"{counted[0]}, {source}: {said}"
            yield _folded(summary, markdown_table(words.NUMBER_COLUMNS, rows, words=words.NUMBER_WORDS))


def _number(number: Number) -> list[str]:
    assert number.found
    row, found = words.number_row(number), number.found
    return [*row, words.outcome(number), found.caveat, _link(found.folder, found.line)]


def _claims(judged: Sequence[Claim]) -> str:
    """A row for each claim: the block that speaks for it, and how the others are judged."""
    rows = []
    for claim in judged:
        first = claim.evidence[0] if claim.evidence else None
        rows.append([*_claim(claim, first), words.elsewhere(claim)])
    return markdown_table([*words.CLAIM_COLUMNS, words.ELSEWHERE], rows, words=(*words.CLAIM_WORDS, 8))


def _blocks(judged: Sequence[Claim]) -> str:
    rows = [_claim(claim, found) for claim in judged for found in claim.evidence]
    table = markdown_table(words.CLAIM_COLUMNS, rows, words=words.CLAIM_WORDS)
    return _folded(f"Every claim in every block: {len(rows)} comparisons", table)


def _claim(claim: Claim, found: Evidence | None) -> list[str]:
    link = _link(found.folder, found.higher) if found else "–"
    return [*words.claim_row(claim, found), words.judged(claim, found), words.claim_caveat(claim, found), link]


def _link(folder: str, line: Line) -> str:
    return f"[{folder}]({words.cells(folder, line).as_posix()})"


def _folded(summary: str, body: str) -> str:
    return f"<details markdown>\n<summary>{summary}</summary>\n\n{body}\n\n</details>"
