"""The paper's headline claims: what our numbers say of each, then the numbers."""

from dataclasses import replace

import pandas as pd

from flexifed.analysis import finals, speed
from flexifed.analysis.finals import MEAN
from flexifed.analysis.headline import paper_range
from flexifed.analysis.statistics import Verdict
from flexifed.analysis.typeset import block_title
from flexifed.report.parts import Grid, Part, Remark, Section, Sources, Words
from flexifed.sharing.titles import version_title

OPENINGS: dict[str, dict[str, str]] = {
    "gain": {
        Verdict.HOLDS: "Better, with the 95 % interval above zero:",
        Verdict.CONTRADICTED: "Worse, with the interval below zero:",
        Verdict.NOT_RESOLVED: "Not resolved:",
        Verdict.ONE_SEED: "Not resolved, one seed cannot be distinguished from chance:",
        Verdict.MISSING: "Missing:",
    },
    "speed": {
        Verdict.HOLDS: "Faster, with the 95 % interval above 1:",
        Verdict.CONTRADICTED: "Slower, with the interval below 1:",
        Verdict.NOT_RESOLVED: "Not resolved:",
        Verdict.ONE_SEED: "Not resolved, one seed cannot be distinguished from chance:",
        "not reached": "No ratio, because a curve of at least one seed stays below the target:",
        Verdict.MISSING: "Missing:",
    },
}
"""How each verdict on a claim is introduced."""

BESIDE = {
    "in": "The interval lies in the paper's range:",
    "above": "The interval lies above the paper's range:",
    "below": "The interval lies below the paper's range:",
    "not resolved": "Neither in the paper's range nor outside of it, at this number of seeds:",
}
"""How the place of an interval is introduced; others say nothing beyond the verdict."""


def section(sources: Sources) -> Section:
    """Words on each claim, from the mean over versions; then the mean over versions and each version as grids."""
    table = sources.table("headline")
    heading = "The paper's headline claims"
    if table.empty:
        return Section(heading, [])
    means = table["version"] == MEAN
    parts: list[Part] = [
        Words(" ".join(sentences(table, claim)), text)
        for claim, text in (("gain", _gain_claim()), ("speed", _speed_claim()))
    ]
    how = (
        "The gain is the difference of final numbers as in Table 1. The paper does not say when a curve has arrived. "
        f"Here: in the first test at which its running mean over {100 * speed.WINDOW:.0f} % of the rounds is at "
        f"{100 * speed.FRACTION:.0f} % of Clustered-FL's number of the same seed and version "
        f"({finals.rule(speed.FINAL)}). Ratios are geometric means with the interval of their logarithms. Intervals "
        "are 95 % Student t over seeds, not adjusted for their number. The paper's ranges go over versions and data "
        f"sets; means over versions spread less. {sources.rules()}"
    )
    folded = replace(grid(table[~means]), notes=(), summary="The same for each version")
    return Section(heading, [*parts, Remark(how), grid(table[means]), folded])


def _gain_claim() -> str:
    low, high = paper_range("gain")
    return f"Max-Common is {low:g} to {high:g} points better than Clustered-FL"


def _speed_claim() -> str:
    low, high = paper_range("speed")
    return f"Max-Common is {low:g} to {high:g} times as fast as Clustered-FL"


def sentences(table: pd.DataFrame, claim: str) -> list[str]:
    """What the mean over versions of each block says about a claim.

    Args:
        table: `headline.csv`.
        claim: `gain` or `speed`.
    """
    lines = table[(table["claim"] == claim) & (table["version"] == MEAN)]
    found = []
    for column, openings in (("verdict", OPENINGS[claim]), ("beside_paper", BESIDE)):
        for outcome, opening in openings.items():
            told = [
                _told(line, with_number=column == "verdict") for _, line in lines[lines[column] == outcome].iterrows()
            ]
            found += [f"{opening} {'; '.join(told)}."] if told else []
    apart = lines[lines["beside_paper"] == "not comparable"]
    if len(apart):
        which = "None of it may" if len(apart) == len(lines) else f"{len(apart)} of {len(lines)} blocks may not"
        found.append(f"{which} be set beside the paper's range.")
    return found


def _told(line: pd.Series, *, with_number: bool) -> str:
    name = block_title(line["dataset"], line["family"], line["protocol"])
    return f"{name} {value(line)}" if with_number and line["n_seeds"] else name


def value(line: pd.Series) -> str:
    """`+4.6 (3.0 to 6.2)`, `1.31 × (1.10 to 1.56)`, without interval for one seed; what is not there in words."""
    if line["not_reached"]:
        return f"not reached in {line['not_reached']} seed{'s' if line['not_reached'] > 1 else ''}"
    if line["n_seeds"] == 0:
        return "missing"
    number, interval = ("z.1f", "+z.1f") if line["claim"] == "gain" else (".2f", ".2f")
    text = f"{line['value']:{interval}}{'' if line['claim'] == 'gain' else ' ×'}"
    return f"{text} ({line['ci95_low']:{number}} to {line['ci95_high']:{number}})" if line["n_seeds"] > 1 else text


def grid(table: pd.DataFrame) -> Grid:
    """A row for each block and version of `headline.csv`; both claims side by side."""
    columns = ["block", "version", "gain [points]", "seeds", "beside the paper", "speed", "beside the paper"]
    rows = []
    for (*block, version), pair in table.groupby(["dataset", "family", "protocol", "version"], sort=False):
        gain, ratio = (pair[pair["claim"] == claim].iloc[0] for claim in ("gain", "speed"))
        row = [block_title(*map(str, block)), version_title(str(block[1]), str(version))]
        rows.append([*row, value(gain), str(gain["n_seeds"]), _place(gain), value(ratio), _place(ratio)])
    return Grid("", columns, rows, _notes(table), words=2)


def _place(line: pd.Series) -> str:
    place = str(line["beside_paper"])
    return f"{place} its range" if place in ("in", "above", "below") else place


def _notes(table: pd.DataFrame) -> list[str]:
    """Each note with the blocks that it is about; without, where it is about all."""
    keys = table[["dataset", "family", "protocol"]].astype(str).itertuples(index=False, name=None)
    about: dict[str, dict[str, None]] = {}
    for key, note in zip(keys, table["note"], strict=True):
        about.setdefault(note, {})[block_title(*key)] = None
    return [note if len(about) == 1 else f"{', '.join(names)}: {note}" for note, names in about.items() if note]
