"""What is generated and committed: the configuration's schema and key tables, numbers in texts, environments.

`python -m flexifed generate` rewrites it; a test fails when it is not up to date.
"""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from flexifed import environments, helptext
from flexifed.analysis import effects, effects_text, finals, metrics, published, tables, titles, typeset
from flexifed.bench import summary
from flexifed.board import claims, folders, numbers
from flexifed.board import text as boardtext
from flexifed.reference import queue
from flexifed.reference import text as referencetext
from flexifed.report import beside as beside_text
from flexifed.report import elastic, fairness, seconds
from flexifed.report.parts import Grid
from flexifed.settings import registry
from flexifed.settings.protocol import Protocol
from flexifed.sharing.titles import version_title
from flexifed.study import config
from flexifed.study.config import Study
from flexifed.system.errors import UserError
from flexifed.system.files import complete

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "config"
REFERENCE = ROOT / "results/reference"
QUEUES = {
    "full-width": ["full-width.yaml"],
    "local-cpu": ["local-cpu.yaml"],
    "sixty-rounds": ["sixty-rounds.yaml"],
    "full-length": ["full-length.yaml"],
    "fedavg-mnist": ["studies/fedavg_mnist.yaml", "overlays/local-data.yaml"],
    "mcmahan": ["studies/mcmahan.yaml", "overlays/local-data.yaml"],
    "horizontal": ["studies/horizontal.yaml", "overlays/local-data.yaml"],
    "selection": ["studies/selection.yaml"],
    "fairness": ["studies/fairness.yaml"],
    "click-through": ["studies/click_through.yaml", "overlays/local-data.yaml"],
    "elasticity": ["studies/elasticity.yaml"],
    "disagreement-few": ["studies/disagreement.yaml", "overlays/small.yaml", "overlays/disagreement-few.yaml"],
}
"""Studies whose cells are queued in `results/reference/`, with their files in `config/`."""

# The configuration


def schema() -> dict[str, Any]:
    """JSON schema of a study. Protocols are open here, since a study may override any part of a preset."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}


def _type(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return f"*{node['$ref'].split('/')[-1]}*"
    if "enum" in node:
        return ", ".join(f"`{'null' if value is None else value}`" for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(_type(option) for option in node["anyOf"] if option.get("type") != "null")
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}" if node.get("items") else "list"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {node[key]:g}" for key, sign in bounds.items() if key in node]
    return " ".join([node.get("type", "any"), *limits])


def _keys(title: str, node: dict[str, Any]) -> str:
    rows = [f"### {title}", "", node.get("description", "").split("\n")[0], ""]
    rows += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    needed = node.get("required", [])
    for key, value in node["properties"].items():
        default = "needed" if key in needed else f"`{json.dumps(value['default'])}`" if "default" in value else ""
        rows.append(f"| `{key}` | {_type(value)} | {default} | {value.get('description', '')} |")
    return "\n".join([*rows, ""])


OPTIONS = {
    "family": "families.{name}",
    "dataset": "datasets.{name}.options",
    "partitioner": "protocols.….partition.options",
    "strategy": "strategy_options.{name}",
    "capacity": "protocols.….devices.capacity_options",
    "availability": "protocols.….devices.availability_options",
}
"""Kinds of plugins with options, and where they stand in a study."""


def _among(allowed: tuple[Any, ...] | None) -> str:
    if not allowed:
        return ""
    if isinstance(allowed[0], str):
        return f" ({', '.join(allowed)})"
    least, most = allowed
    return f" (≥ {least:g})" if most is None else f" ({least:g} to {most:g})"


def _options() -> str:
    """A row for each plugin with options."""
    rows = []
    for kind, place in OPTIONS.items():
        for name in registry.names(kind):
            known, allowed = registry.keywords(kind, name), registry.allowed(kind, name)
            text = "; ".join(
                f"`{option}: {json.dumps(default)}`{_among(allowed.get(option))}" for option, default in known.items()
            )
            rows += [[f"{kind} `{name}`", f"`{place.format(name=name)}`", text]] if known else []
    table = typeset.markdown_table(
        ["of", "place", "options, their defaults, and what is allowed"], rows, words=range(3)
    )
    about = "The docstring of the plugin's function says what they do; what is not listed has none."
    return f"### Options\n\n{about}\n\n{table}"


def config_keys() -> str:
    """Markdown tables of every key of a study and of a protocol, and of every plugin's options."""
    parts = []
    for title, whole in (("Study", Study.model_json_schema()), ("Protocol", TypeAdapter(Protocol).json_schema())):
        parts.append(_keys(title, whole))
        parts += [_keys(name, node) for name, node in whole.get("$defs", {}).items() if "properties" in node]
    return "\n".join([*parts, _options()]).rstrip()


# The archives of docs/data.md


def archives() -> str:
    """Every archive that a data set is downloaded from."""
    rows = []
    for dataset in registry.names("dataset"):
        for archive in registry.load("dataset", dataset).ARCHIVES:
            algorithm, value = archive.pinned or ("", "not pinned")
            size = "" if archive.bytes is None else f"{archive.bytes:,}"
            place = f"`{dataset}/{archive.file}`"
            rows.append([place, size, f"{algorithm} `{value}`", "<br>".join(archive.urls), archive.licence])
    return typeset.markdown_table(
        ["below `downloads/`", "bytes", "digest", "addresses, in turn", "licence"], rows, words=(0, 2, 3, 4)
    )


# The queues of reference cells


def queues() -> dict[Path, str]:
    """The cells of each queued study, resolved, in its order, which is their order of priority; and its effects."""
    found = {}
    for name, paths in QUEUES.items():
        study, folder = config.read(*(CONFIG / path for path in paths)), REFERENCE / name
        found[folder / queue.FILE] = queue.text([study.run(cell) for cell in study.cells()])
        if study.effects:
            found[folder / effects.FILE] = effects.to_json(effects.of_study(study))
    return found


# The numbers of the README


def _by_strategy(cells: Mapping[tuple[str, str], Mapping[str, str]]) -> str:
    """A row for each block, a column for each strategy."""
    rows = [
        [f"{titles.title(dataset)}, {titles.title(family)}", *(numbers.get(s, "") for s in titles.STRATEGIES)]
        for (dataset, family), numbers in cells.items()
    ]
    return typeset.markdown_table(["", *map(titles.title, titles.STRATEGIES)], rows)


def paper_table() -> str:
    """The paper's Table 1, mean over the four versions, in percent."""
    table = published.table1()
    table = table[table["source"] == published.PAPER]
    means = table.groupby(["dataset", "family", "strategy"], sort=False)["accuracy_percent"].mean().reset_index()
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in means.to_dict("records"):
        cells.setdefault((row["dataset"], row["family"]), {})[row["strategy"]] = f"{row['accuracy_percent']:.1f}"
    return _by_strategy(cells)


def reference_table(study: str) -> str:
    """Table 1 of a reference study, mean over the versions, with its interval over seeds, in percent."""
    table = tables.read(REFERENCE / study / "tables/table1.csv")
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for _, row in table[table["version"] == finals.MEAN].iterrows():
        numbers = cells.setdefault((row["dataset"], row["family"]), {})
        assert row["strategy"] not in numbers, f"{study} has several protocols of a block"
        numbers[row["strategy"]] = typeset.number(row)
    return _by_strategy(cells)


def beside_table(study: str) -> str:
    """Published numbers of single settings beside those of a reference study."""
    table = tables.read(REFERENCE / study / "tables/beside.csv")
    heads = ["model and setting", "what", "published", "ours", "one more seed", "seeds", "verdict", "source"]
    rows = []
    for _, line in table.iterrows():
        setting, *numbers = beside_text.row(line)
        rows.append([f"{version_title(line['family'], line['version'])}, {setting}", *numbers])
    return typeset.markdown_table(heads, rows, words=(0, 1, 6, 7))


def lines_table(study: str) -> str:
    """Every line of a reference study that has a run: mean over versions, with its interval over seeds, in percent."""
    table = tables.read(REFERENCE / study / "tables/table1.csv")
    lines = table[(table["version"] == finals.MEAN) & (table["n_seeds"] > 0)]
    rows = [
        [row["protocol"], titles.title(row["strategy"]), typeset.number(row), str(row["n_seeds"])]
        for _, row in lines.iterrows()
    ]
    quantity = f"{metrics.titles(lines['dataset'])} [%]"
    return typeset.markdown_table(["protocol", "strategy", quantity, "seeds"], rows, words=(0, 1))


def grid_tables(study: str, name: str, grid: Callable[[pd.DataFrame], Grid]) -> str:
    """A table of a reference study as its report shows it, with a title for each of its blocks.

    Args:
        study: folder of `results/reference/`.
        name: of the table, e.g. `fairness`.
        grid: makes a block's rows into text.
    """
    found = []
    table = tables.read(REFERENCE / study / f"tables/{name}.csv")
    for key, block in typeset.blocks(table):
        if table["n_seeds"].any() and not block["n_seeds"].any():
            continue  # of a block without a run the study's own page need not say so line by line
        made = grid(block)
        rows = [[str(entry) for entry in row] for row in made.rows]
        notes = "".join(f"\n\n{note}." for note in made.notes)
        found.append(f"**{typeset.block_title(*key)}**\n\n{typeset.markdown_table(made.columns, rows)}{notes}")
    return "\n\n".join(found)


def tiers_table(study: str) -> str:
    """Final numbers of a reference study by tier of budget: mean over the tier's clients and seeds, in percent."""
    budgets = tables.read(REFERENCE / study / "tables/elastic.csv")
    with_budgets = budgets.loc[budgets["n_seeds"] > 0, ["dataset", "family", "strategy", "protocol"]]
    table = tables.read(REFERENCE / study / "tables/table1.csv").merge(with_budgets)
    tiers = [version for version in dict.fromkeys(table["version"]) if version != finals.MEAN]
    rows = []
    for (protocol, strategy), line in table.groupby(["protocol", "strategy"], sort=False):
        numbers = {row["version"]: typeset.number(row) for _, row in line.iterrows()}
        rows.append([str(protocol), titles.title(str(strategy)), *(numbers.get(tier, "–") for tier in tiers)])
        rows[-1].append(str(line["n_seeds"].max()))
    return typeset.markdown_table(["protocol", "strategy", *tiers, "seeds"], rows, words=(0, 1))


@lru_cache
def _board(results: Path) -> tuple[list[numbers.Number], list[claims.Claim]]:
    """Every published number and claim, and what became of it."""
    read = folders.read(results)
    return numbers.numbers(read), claims.claims(read)


def board_table(*systems: str) -> str:
    """How many published numbers have been reproduced, by system and source; of some systems, or of all."""
    return boardtext.source_table(_board(REFERENCE)[0], *systems)


# The numbers of docs/disagreement.md and docs/systems/devices.md


def effects_tables(study: str) -> str:
    """What the effects of a reference study say, and their tables; that there are none before it has a cell."""
    folder = REFERENCE / study / "tables"
    if not (folder / "effects.csv").exists():
        return "No cell of this study is there yet."
    return effects_text.body(effects.read(folder / "effects.csv"), tables.read(folder / "table1.csv"), depth=3)


# The numbers of docs/speed.md


ENGINES = {
    "serial, float32": REFERENCE / "precision/serial",
    "fast, float32": REFERENCE / "precision/float32",
    "fast, bfloat16": REFERENCE / "precision/bfloat16",
}
"""The same cells, trained in three ways."""
LAST = 3
"""Evaluated rounds whose mean is compared."""


def race_table() -> str:
    """`docs/race.csv`, which `tests.scale.race` writes."""
    heads = ["model", "trained by", "threads", "s a round", "range"]
    rows = [
        [titles.title(row["family"]), row["by"], row["threads"], row["seconds"], f"{row['low']} to {row['high']}"]
        for row in pd.read_csv(ROOT / "docs/race.csv", dtype=str).to_dict("records")
    ]
    return typeset.markdown_table(heads, rows, words=(0, 1))


def clicks_table() -> str:
    """`docs/clicks.csv`, which `tests.scale.clicks` writes."""
    heads = [
        "server",
        "threads",
        "s a round",
        "s of its SGD steps alone",
        "ratio",
        "model, MB",
        "sent by a participant, MB",
    ]
    rows = pd.read_csv(ROOT / "docs/clicks.csv", dtype=str).to_dict("records")
    cells = [[titles.title(row["strategy"]), *list(row.values())[1:]] for row in rows]
    return typeset.markdown_table(heads, cells, words=(0,))


def members_table() -> str:
    """`docs/members.csv`, which `tests.scale.members` writes."""
    heads = ["strategy", "tier", "version", "width", "sparsity", "multiply-adds", "s a turn", "of the largest's"]
    rows = pd.read_csv(ROOT / "docs/members.csv", dtype=str).to_dict("records")
    cells = [[titles.title(row["strategy"]), *list(row.values())[1:]] for row in rows]
    return typeset.markdown_table(heads, cells, words=(0, 1, 2))


def precision_table() -> str:
    """Final accuracy of the same cells in each precision, in percent, and the mean difference to float32."""
    cells = sorted(path.parent for path in ENGINES["fast, bfloat16"].glob("cells/**/run.json"))
    names = [cell.relative_to(ENGINES["fast, bfloat16"]) for cell in cells]
    values = pd.DataFrame(
        [[_final(folder / name) for folder in ENGINES.values()] for name in names], columns=list(ENGINES)
    )
    differences = values.sub(values["fast, float32"], axis=0).agg(["mean", "std"])
    rows = []
    for name, row in zip(names, values.itertuples(index=False), strict=True):
        _, _, _, strategy, _, seed = name.parts
        rows.append([f"{titles.title(strategy)}, {seed.replace('seed', 'seed ')}", *(f"{v:.1f}" for v in row)])
    rows.append(
        ["less fast, float32: mean ± standard deviation"]
        + [f"{d['mean']:+.1f} ± {d['std']:.1f}" if d["std"] else "" for _, d in differences.items()]
    )
    return typeset.markdown_table(["", *ENGINES], rows)


def _final(cell: Path) -> float:
    history = pd.read_parquet(cell / "history.parquet")
    history = history[(history["metric"] == "accuracy") & (history["phase"] == "aggregated")]
    last = sorted(history["round"].unique())[-LAST:]
    return 100 * float(history.loc[history["round"].isin(last), "value"].mean())


def command_reference() -> str:
    """Every command with its arguments."""
    from flexifed.__main__ import _parser

    return helptext.markdown(_parser())


# Files


def filled(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """The text with each generated part brought up to date."""
    for name, make in parts.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}\n\n{make()}\n\n{end}{rest.split(end)[1]}"
    return text


def contents() -> dict[Path, str]:
    """Every file that is generated, or has generated parts, as it should be."""
    readmes: dict[Path, dict[str, Callable[[], str]]] = {
        CONFIG / "README.md": {"keys": config_keys},
        REFERENCE / "README.md": {"board": lambda: boardtext.board(*_board(REFERENCE))},
        ROOT / "README.md": {
            "systems": lambda: boardtext.system_table(*_board(REFERENCE)),
            "full-width": lambda: referencetext.section(REFERENCE / "full-width"),
            "paper": paper_table,
            "local-cpu": lambda: reference_table("local-cpu"),
            "fedavg-mnist": lambda: beside_table("fedavg-mnist"),
            "sixty-rounds": lambda: lines_table("sixty-rounds"),
            "mcmahan": lambda: beside_table("mcmahan"),
            "horizontal": lambda: lines_table("horizontal"),
            "bench": lambda: summary.markdown(REFERENCE / "bench-cpu", ("rounds", "aggregation")),
        },
        ROOT / "docs/commands.md": {"commands": command_reference},
        ROOT / "docs/data.md": {"archives": archives},
        ROOT / "docs/systems/index.md": {"board": board_table},
        ROOT / "docs/systems/flexifed.md": {
            "system-flexifed": lambda: board_table("flexifed"),
            "local-cpu": lambda: reference_table("local-cpu"),
            "sixty-rounds": lambda: lines_table("sixty-rounds"),
        },
        ROOT / "docs/systems/fedavg.md": {
            "system-fedavg": lambda: board_table("fedavg"),
            "fedavg-mnist": lambda: beside_table("fedavg-mnist"),
        },
        ROOT / "docs/systems/elastic.md": {
            "elasticity-tiers": lambda: tiers_table("elasticity"),
            "elasticity": lambda: grid_tables("elasticity", "elastic", elastic.grid),
        },
        ROOT / "docs/systems/horizontal.md": {"horizontal": lambda: lines_table("horizontal")},
        ROOT / "docs/systems/devices.md": {
            "selection": lambda: lines_table("selection"),
            "selection-seconds": lambda: grid_tables("selection", "seconds", seconds.grid),
            "fairness": lambda: grid_tables("fairness", "fairness", fairness.grid),
            "fairness-effects": lambda: effects_tables("fairness"),
            "click-through-effects": lambda: effects_tables("click-through"),
        },
        ROOT / "docs/disagreement.md": {
            "effects": lambda: effects_tables("disagreement-few"),
            "fairness-effects": lambda: effects_tables("fairness"),
            "click-through-effects": lambda: effects_tables("click-through"),
        },
        ROOT / "docs/speed.md": {
            "bench-cpu": lambda: summary.markdown(REFERENCE / "bench-cpu"),
            "precision": precision_table,
            "race": race_table,
            "clicks": clicks_table,
            "members": members_table,
        },
    }
    files = {path: filled(path.read_text(), parts) for path, parts in readmes.items()}
    return {
        CONFIG / "config.schema.json": json.dumps(schema(), indent=2) + "\n",
        ROOT / "envs/flexifed.yaml": environments.conda(ROOT / "requirements.txt"),
        ROOT / "pixi.toml": environments.pixi(ROOT / "requirements.txt"),
        **files,
        **queues(),
    }


def write() -> list[Path]:
    """Rewrite the generated files; returns their paths.

    Raises:
        UserError: the package does not lie in a checkout of the repository, whose files these are.
    """
    if not CONFIG.is_dir():
        raise UserError(f"{ROOT} is no checkout of the repository (no config/): run `generate` in one.")
    files = contents()
    for path, text in files.items():
        with complete(path) as partial:
            partial.write_text(text)
    return list(files)
