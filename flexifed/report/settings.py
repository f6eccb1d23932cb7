"""Settings: in what the study's blocks differ, and all the rest, which they have in common."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pandas as pd

from flexifed.analysis.titles import title
from flexifed.analysis.typeset import block_title
from flexifed.report.parts import Grid, Part, Section, Sources
from flexifed.settings.protocol import Protocol, from_dict
from flexifed.system.errors import UserError

BLOCK = ["dataset", "family", "protocol"]
SETTINGS = ["protocol_settings", "family_options", "data_options", "engine", "precision"]
"""Columns of `runs.parquet` that hold a run's settings."""


def section(sources: Sources) -> Section:
    """A grid of what differs, a row per block; and one of what does not, folded."""
    about = (
        "As the runs have recorded them, under the names that they have in a study's file (config/README.md); keys "
        "that have come since have their defaults, and the rule for the final number is the study's. A dash: the "
        "setting is not one of the line's."
    )
    lines = _lines(sources)
    keys = list(dict.fromkeys(key for settings in lines.values() for key in settings))
    differing = [key for key in keys if len({settings.get(key) for settings in lines.values()}) > 1]
    parts: list[Part] = []
    if differing:
        rows = [[name, *(settings.get(key, "–") for key in differing)] for name, settings in lines.items()]
        parts.append(Grid("In what the lines differ", ["line", *differing], rows, words=len(differing) + 1))
    common = [[key, settings[key]] for settings in list(lines.values())[:1] for key in keys if key not in differing]
    if common:
        summary = f"{len(common)} settings that all lines have in common"
        parts.append(Grid("", ["setting", "value"], common, words=2, summary=summary))
    return Section("Settings", parts, about)


def _lines(sources: Sources) -> dict[str, dict[str, str]]:
    """Settings by block; where runs of a block have different ones, by those of its runs that agree."""
    lines: dict[str, dict[str, str]] = {}
    for key, block in sources.runs.groupby(BLOCK, sort=False):
        final = sources.finals.get(str(key[2]))
        agreeing = list(block.groupby(SETTINGS, sort=False, dropna=False))
        for _, runs in agreeing:
            name = block_title(*map(str, key))
            name += "" if len(agreeing) == 1 else f" ({_strategies(runs)})"
            lines[name] = dict(_settings(runs.iloc[0], asdict(final) if final else {}))
    return lines


def _strategies(runs: pd.DataFrame) -> str:
    """`Max-Common, seeds 0, 1; Standalone, seeds 0`."""
    seeds = runs.groupby("strategy", sort=False)["seed"]
    return "; ".join(f"{title(str(strategy))}, seeds {', '.join(map(str, of))}" for strategy, of in seeds)


def _settings(run: "pd.Series[Any]", final: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every setting of a run by its dotted name."""
    protocol = _through_defaults(json.loads(run["protocol_settings"]))
    protocol = {key: value for key, value in protocol.items() if key not in ("final", "family_options")}
    yield from _flat("", {**protocol, **({"final": final} if final else {})})
    yield from _flat(f"families.{run['family']}.", json.loads(run["family_options"]))
    yield from _flat(f"datasets.{run['dataset']}.options.", json.loads(run["data_options"]))
    yield from _flat("", {"engine": run["engine"], "precision": run["precision"]})


def _through_defaults(recorded: dict[str, Any]) -> dict[str, Any]:
    """A recorded protocol with the defaults of keys that have come since; as it is where a key is no longer known."""
    try:
        return asdict(from_dict(Protocol, recorded))
    except UserError:
        return recorded


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield f"{prefix}{key}", _text(value)


def _text(value: Any) -> str:
    """As a study's file would have it: `0.1`, `true`, `null`, `V1, V2`."""
    if isinstance(value, str):
        return value
    return ", ".join(map(_text, value)) if isinstance(value, list | tuple) else json.dumps(value)
