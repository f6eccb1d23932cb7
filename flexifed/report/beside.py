"""Published numbers of single settings beside ours, see `flexifed.analysis.beside`."""

import pandas as pd

from flexifed.analysis.titles import title
from flexifed.report.parts import Grid, Section, Sources, points
from flexifed.sharing.titles import version_title


def section(sources: Sources) -> Section:
    """A grid for each data set and model."""
    table = sources.table("beside")
    about = (
        "Ours: mean over seeds, with the interval in which one more seed would fall in 95 of 100 cases (Student t over "
        "seeds). A source publishes one run: the verdict says whether it could be one of ours. Accuracy is in percent, "
        "after aggregation, in eval(); rounds to an accuracy are read from the best value so far."
    )
    columns = ["setting", "what", "published", "ours", "one more seed", "seeds", "verdict", "source"]
    parts = [
        Grid(
            f"{title(str(dataset))}, {version_title(str(family), str(version))}",
            columns,
            [row(line) for _, line in block.iterrows()],
            notes=[*_notes(block, "protocol", "note"), *_notes(block, "source", "remark")],
        )
        for (dataset, family, version), block in table.groupby(["dataset", "family", "version"], sort=False)
    ]
    return Section("Published runs of single settings", parts, about)


def row(line: pd.Series) -> list[str]:
    """Setting, what, published, ours, the interval of one more seed, seeds, verdict, source."""
    rounds = line["metric"] == "rounds_to"
    what = f"rounds to {line['at']:g} %" if rounds else f"{line['metric']}, round {line['at']:g}"
    absent = line["not_reached"]
    return [
        f"{title(line['strategy'])}, {line['protocol']}",
        what,
        points(line["published"]),
        points(line["mean"]) + (f" ({line['ratio']:.2f} x)" if line["ratio"] > 0 else ""),
        f"{points(line['one_more_low'])} to {points(line['one_more_high'])}" if pd.notna(line["one_more_low"]) else "–",
        str(line["n_seeds"]),
        line["verdict"] + (f" by {absent} seed{'s' * (absent > 1)}" if absent else ""),
        line["source"],
    ]


def _notes(block: pd.DataFrame, of: str, column: str) -> list[str]:
    said = [line for _, line in block.iterrows() if isinstance(line[column], str) and line[column]]
    return sorted({f"{line[of]}: {line[column]}" for line in said})
