"""What each strategy costs: megabytes, rounds and seconds, in all and to a target."""

import pandas as pd

from flexifed.analysis import finals, metrics, speed
from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title, blocks, notes
from flexifed.report import pictures
from flexifed.report.parts import Grid, Part, Section, Sources, points


def section(sources: Sources) -> Section:
    """A grid per block, then the figure."""
    about = (
        f"Final numbers here are {finals.rule(speed.FINAL)}, whatever the protocol's final number is, so they may "
        "differ from Table 1's. MB are per client, mean over clients: averaged values as float32, up and down alike. "
        f"The target is {100 * speed.FRACTION:.0f} % of {title(speed.YARDSTICK)}'s final number in the same block and "
        "seed, for the mean over versions; what is needed to reach it is a mean over seeds, not given where a seed "
        "stays below it. Seconds are whole runs, tests included, divided by their rounds, so they depend on the "
        "machine and on what else ran on it; none are given where the runs of a block are from several devices."
    )
    grids: list[Part] = [grid(key, block) for key, block in blocks(sources.table("costs"))]
    return Section(pictures.HEADINGS["costs"], [*grids, *pictures.of_kind(sources, "costs")], about)


def grid(key: tuple[str, str, str], block: pd.DataFrame) -> Grid:
    """A block of `costs.csv` as text."""
    columns = [
        "strategy",
        metrics.title(key[0]),
        "MB up a round",
        "by version",
        "MB down",
        "MB in all",
        "rounds to target",
    ]
    columns += ["MB to target", "seconds to target"]
    rows = [
        [
            title(line["strategy"]),
            points(line["accuracy"]) if line["n_seeds"] else "missing",
            amount(line["mb_up"]),
            _span(line),
            amount(line["mb_down"]),
            amount(line["mb_in_all"]),
            _rounds(line),
            amount(line["mb_to_target"]),
            amount(line["seconds_to_target"]),
        ]
        for _, line in block.iterrows()
    ]
    devices = [device for device in dict.fromkeys(block["device"]) if device != "missing"]
    goal = block.loc[block["strategy"] == speed.YARDSTICK, "target"].mean()
    absent = "is missing" if speed.YARDSTICK in set(block["strategy"]) else "is not in this study"
    target = f"Target: {points(goal)} % (mean over seeds)" if pd.notna(goal) else ""
    told = [
        f"Device: {'; '.join(devices)}" if devices else "",
        target or f"No target: {title(speed.YARDSTICK)} {absent}",
    ]
    return Grid(block_title(*key), columns, rows, [*filter(None, told), *notes(block)])


def amount(value: float) -> str:
    """Three significant digits: `1,120`, `2.05`, `0.00819`; a dash where there is no number."""
    if pd.isna(value):
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _span(line: pd.Series) -> str:
    """Smallest to largest version."""
    low, high = amount(line["mb_up_low"]), amount(line["mb_up_high"])
    return low if low == high else f"{low} to {high}"


def _rounds(line: pd.Series) -> str:
    if line["not_reached"]:
        return f"not reached in {line['not_reached']} of {line['n_target']}"
    return amount(line["rounds_to_target"])
