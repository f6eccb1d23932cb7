"""The effects of a study in words: claims first, then a table with a column per strategy, or per metric."""

import pandas as pd

from flexifed.analysis.titles import strategy_rank, title
from flexifed.analysis.typeset import by_family, markdown_table, notes
from flexifed.settings import quantities

MARKS = {"raises": "▲ ", "lowers": "▼ "}
"""Before a number whose interval leaves zero out; read without colour."""

LEGEND = (
    "Final number of the changed protocol less that of its base, in percentage points, paired by seed: mean over seeds "
    "± half-width of the 95 % Student t interval. ▲ and ▼: the interval leaves zero out. One seed has no interval. The "
    "intervals are not adjusted for their number."
)
SEVERAL = (
    "Final number of what was changed less that of its base, paired by seed: mean over seeds ± half-width of the 95 % "
    "Student t interval. ▲ and ▼: the interval leaves zero out. One seed has no interval. The intervals are not "
    "adjusted for their number."
)
"""The legend of a table in which effects are of several metrics, whose units stand above its columns."""


def legend(table: pd.DataFrame) -> str:
    """What the numbers of a table are."""
    return SEVERAL if by_metric(table) else LEGEND


def by_metric(table: pd.DataFrame) -> bool:
    """Whether effects are of more than their data sets' own metric; metrics are the columns then, else strategies."""
    return bool((table["metric"] != table["dataset"].map(quantities.own)).any())


def caveats(block: pd.DataFrame, table1: pd.DataFrame) -> list[str]:
    """The notes of Table 1 on the base's lines of a block: they hold for differences between such lines as well."""
    same = (table1[["dataset", "family"]] == list(block[["dataset", "family"]].iloc[0])).all(axis=1)
    bases = list(dict.fromkeys(block["base"]))
    about: dict[str, list[str]] = {}
    for base in bases:
        for note in notes(table1[same & (table1["protocol"] == base)]):
            about.setdefault(note, []).append(base)
    return [note if len(of) == len(bases) else f"Base {', '.join(of)}: {note}" for note, of in about.items()]


def points(value: float, digits: int = 1) -> str:
    """`+3.2`; what rounds to zero has no minus."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def number(line: pd.Series) -> str:
    """`▲ +3.2 ± 0.4`, `+0.3 ± 0.8`, `+3.2` of one seed, `0 in every seed`, or `not run`."""
    digits = quantities.digits(line["metric"])
    if line["outcome"] == "not run":
        return "not run"
    if line["outcome"] == "none":
        return "0 in every seed"
    if line["outcome"] == "one seed":
        return points(line["difference"], digits)
    mark = MARKS.get(line["outcome"], "")
    return f"{mark}{points(line['difference'], digits)} ± {line['ci95_high'] - line['difference']:.{digits}f}"


def columns(block: pd.DataFrame) -> list[str]:
    """Column titles of `rows`."""
    if not by_metric(block):
        return ["factor", "level", *map(title, _strategies(block)), "seeds"]
    metrics = block.drop_duplicates("metric")[["dataset", "metric"]].itertuples(index=False, name=None)
    heads = [f"{quantities.titles(dataset)[metric]} [{quantities.unit(metric)}]" for dataset, metric in metrics]
    return [*LEADING, *heads, "seeds"]


LEADING = ("factor", "level", "strategy")
"""Columns of words; the last one only where the others are metrics."""


def words(block: pd.DataFrame) -> int:
    """How many of `columns` are words."""
    return len(LEADING) if by_metric(block) else len(LEADING) - 1


def _strategies(block: pd.DataFrame) -> list[str]:
    return sorted(block["strategy"].unique(), key=strategy_rank)


def rows(block: pd.DataFrame, quantity: str) -> list[list[str]]:
    """A row per level, a column per strategy; or a row per level and strategy, and a column per metric.

    Args:
        block: lines of `effects.summaries` of one data set and family.
        quantity: `effect` or `interaction`.
    """
    found = []
    across, names = ("metric", [*block["metric"].unique()]) if by_metric(block) else ("strategy", _strategies(block))
    lines_of = block[block["quantity"] == quantity].groupby([*LEADING[: words(block)]], sort=False)
    for key, lines in lines_of:
        of = {line[across]: number(line) for _, line in lines.iterrows()}
        low, high = lines["n_seeds"].min(), lines["n_seeds"].max()
        seeds = str(high) if low == high else f"{low} to {high}"
        factor, level, *strategy = map(str, key)
        found.append([factor, level, *map(title, strategy), *(of.get(name, "–") for name in names), seeds])
    return found


# Claims


def claims(block: pd.DataFrame) -> list[str]:
    """What a block's effects say, most telling first; nothing is claimed where the seeds do not resolve it.

    Args:
        block: lines of `effects.summaries` of one data set and family.
    """
    block = block.assign(subject=_subjects(block))
    effects, interactions = (block[block["quantity"] == quantity] for quantity in ("effect", "interaction"))
    found = _counted(effects)
    found += [f"{_level(lines)} {_moves(lines)}." for lines in _by_size(effects)]
    found += [f"{_level(lines)} {_departs(lines)}." for lines in _by_size(interactions)]
    found += _listed("The parts add up as far as the intervals tell", _unresolved(interactions), interactions)
    found += _listed("Not told from zero", _unresolved(effects), effects)
    for opening, outcome in (
        ("The same number in every seed", "none"),
        ("One seed, which cannot be distinguished from chance", "one seed"),
        ("Not run", "not run"),
    ):
        found += _listed(opening, effects[effects["outcome"] == outcome], effects)
    return found


def _subjects(block: pd.DataFrame) -> list[str]:
    """What lines are of: their strategy; where metrics are columns their metric, and whose, if a level has several."""
    lines = block[["dataset", "metric", "strategy"]].itertuples(index=False, name=None)
    if not by_metric(block):
        return [title(strategy) for _, _, strategy in lines]
    many = block.groupby("level")["strategy"].transform("nunique") > 1
    return [
        f"{quantities.titles(dataset)[metric]}{f' of {title(strategy)}' if several else ''}"
        for (dataset, metric, strategy), several in zip(lines, many, strict=True)
    ]


def _counted(effects: pd.DataFrame) -> list[str]:
    judged = effects[effects["outcome"].isin(["raises", "lowers", "not resolved"])]
    if judged.empty:
        return ["No effect has an interval, so none is told from chance."]
    each = "a level, a strategy and a metric each" if by_metric(effects) else "a level and a strategy each"
    moved = int(judged["outcome"].isin(list(MARKS)).sum())
    return [
        f"{moved} of {len(judged)} effects ({each}) have an interval that leaves zero out; "
        f"about {0.05 * len(judged):.1f} would if nothing had any effect."
    ]


def _by_size(lines: pd.DataFrame) -> list[pd.DataFrame]:
    """The resolved lines of each level, the level with the largest difference first; units have no order of size."""
    resolved = lines[lines["outcome"].isin(list(MARKS))]
    groups = [group for _, group in resolved.groupby("level", sort=False)]
    if by_metric(lines):
        return groups
    return sorted(groups, key=lambda group: -float(group["difference"].abs().max()))


def _unresolved(lines: pd.DataFrame) -> pd.DataFrame:
    """The unresolved lines of the levels that no strategy resolves."""
    resolved = lines.loc[lines["outcome"].isin(list(MARKS)), "level"]
    return lines[(lines["outcome"] == "not resolved") & ~lines["level"].isin(resolved)]


def _level(lines: pd.DataFrame) -> str:
    factor, level = lines[["factor", "level"]].iloc[0]
    return f"{factor[0].upper()}{factor[1:]}, {level}:"


def _moves(lines: pd.DataFrame) -> str:
    """`raises Max-Common by 3.2 (2.0 to 4.4), Standalone by ...; lowers ...`."""
    told = []
    for outcome in MARKS:
        same = lines[lines["outcome"] == outcome]
        by = [_by(line, 1 if outcome == "raises" else -1) for _, line in same.iterrows()]
        told += [f"{outcome} {', '.join(by)}"] if by else []
    return "; ".join(told)


def _by(line: pd.Series, sign: int) -> str:
    low, high = sorted((sign * line["ci95_low"], sign * line["ci95_high"]))
    digits = quantities.digits(line["metric"])
    return f"{line['subject']} by {sign * line['difference']:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _departs(lines: pd.DataFrame) -> str:
    each = []
    for _, line in lines.iterrows():
        digits = quantities.digits(line["metric"])
        interval = f"({line['ci95_low']:+z.{digits}f} to {line['ci95_high']:+z.{digits}f})"
        each.append(f"{points(line['difference'], digits)} {interval} for {line['subject']}")
    return f"beyond the sum of its parts by {', '.join(each)}"


def _listed(opening: str, lines: pd.DataFrame, of: pd.DataFrame) -> list[str]:
    """`opening: level (subjects); ...`, without these where it is all of several that the level has in `of`."""
    if lines.empty:
        return []
    every = of["level"].value_counts()
    told = []
    for level, group in lines.groupby("level", sort=False):
        names = ", ".join(group["subject"])
        told.append(str(level) if len(group) == every[level] > 1 else f"{level} ({names})")
    return [f"{opening}: {'; '.join(told)}."]


# Markdown


def markdown(table: pd.DataFrame, table1: pd.DataFrame) -> str:
    """All blocks as Markdown.

    Args:
        table: as `effects.summaries` gives it.
        table1: Table 1 of the same study, for its notes.
    """
    return f"# Effects\n\n{body(table, table1, depth=2)}\n"


def body(table: pd.DataFrame, table1: pd.DataFrame, depth: int) -> str:
    """`markdown` without its title, below headings of the given depth."""
    text = [legend(table)]
    for heading, block in by_family(table):
        text += ["", f"{'#' * depth} {heading}", "", *(f"- {claim}" for claim in claims(block))]
        text += ["", markdown_table(columns(block), rows(block, "effect"), words=range(words(block)))]
        beyond = rows(block, "interaction")
        if beyond:
            text += ["", "Effects of pairs less the sum of the effects they combine:"]
            text += ["", markdown_table(columns(block), beyond, words=range(words(block)))]
        text += [line for note in caveats(block, table1) for line in ("", f"Note: {note}.")]
    return "\n".join(text)
