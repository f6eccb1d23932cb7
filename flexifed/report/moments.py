"""When and how the metric is measured: before and after aggregation, in eval() and in training mode."""

import pandas as pd

from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title
from flexifed.report.parts import Grid, Section, Sources, points


def section(sources: Sources) -> Section:
    """One grid for all lines of the study."""
    about = (
        "Mean over versions in percent. Before and after aggregation the models are tested in eval(); the last column "
        "is after aggregation in training mode (dropout active, batch statistics), as the authors' script tests. The "
        "rounds are those of the protocol's final number; when and how it was tested is what the columns say. "
        + sources.rules()
    )
    return Section(
        f"When and how {sources.metric} {'are' if ' and ' in sources.metric else 'is'} measured",
        [grid(sources.table("phases"))],
        about,
    )


def grid(table: pd.DataFrame) -> Grid:
    """`phases.csv` as text."""
    columns = ["block", "strategy", "after aggregation", "before", "difference", "95 % interval", "training mode"]
    rows = [
        [
            block_title(line["dataset"], line["family"], line["protocol"]),
            title(line["strategy"]),
            *([points(line["aggregated"]), points(line["local"])] if line["n_seeds"] else ["missing", "missing"]),
            points(line["difference"], signed=True),
            f"{line['difference_ci95_low']:+.1f} to {line['difference_ci95_high']:+.1f}"
            if line["n_seeds"] > 1
            else "–",
            points(line["train_mode"]),
        ]
        for _, line in table.iterrows()
    ]
    return Grid("", columns, rows, words=2)
