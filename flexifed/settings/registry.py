"""Plugins by file name: the file's name is the registered name, the config value and the wildcard value.

A kind of plugin is a folder of this package; a plugin is a module in it whose name does not begin with an underscore.
Names, constants and keyword options are read from the source text; a study is checked without importing a family, a
strategy or an engine (or torch).
"""

import ast
import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from flexifed.system.errors import UserError

PACKAGE = Path(__file__).parent.parent

FOLDERS = {
    "dataset": "datasets",
    "family": "models",
    "strategy": "strategies",
    "partitioner": "partitioners",
    "engine": "engines",
    "task": "tasks",
    "capacity": "devices/capacity",
    "availability": "devices/availability",
}

KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
"""Types of options in words."""


@lru_cache
def names(kind: str) -> tuple[str, ...]:
    """All registered names of a kind (a key of `FOLDERS`), sorted."""
    folder = PACKAGE / FOLDERS[kind]
    return tuple(sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_")))


def nearest(given: object, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one may stand for; None where there is no such."""
    near = difflib.get_close_matches(str(given).lower().replace("-", "_"), list(known), n=1, cutoff=0.5)
    return near[0] if near else None


def unknown(what: str, given: object, known: Iterable[str]) -> UserError:
    """The error for a name that is not known, with the nearest known one."""
    known = sorted(known)
    near = nearest(given, known)
    hint = f" Did you mean {near!r}?" if near else ""
    return UserError(f"unknown {what} {given!r}.{hint} Known: {', '.join(known)}.")


def check(kind: str, name: str) -> str:
    """Return `name` if it is registered.

    Raises:
        UserError: the name is not known; the message holds the nearest known name and all of them.
    """
    if name not in names(kind):
        raise unknown(kind, name, names(kind))
    return name


def path(kind: str, name: str) -> Path:
    """The source file of a plugin."""
    return PACKAGE / FOLDERS[kind] / f"{check(kind, name)}.py"


def load(kind: str, name: str) -> ModuleType:
    """Import a plugin's module."""
    return importlib.import_module(f"flexifed.{FOLDERS[kind].replace('/', '.')}.{check(kind, name)}")


@lru_cache
def _tree(kind: str, name: str) -> ast.Module:
    return ast.parse(path(kind, name).read_text())


def constant(kind: str, name: str, constant_name: str, default: Any = None) -> Any:
    """The value of a literal constant of a plugin, read without importing it; `default` where the plugin has none."""
    for node in _tree(kind, name).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == constant_name for t in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            return ast.literal_eval(node.value)
    assert default is not None, f"{path(kind, name)} has no constant {constant_name}"
    return default


def task(dataset: str) -> str:
    """What a data set asks: its constant `TASK`, a file of `flexifed/tasks/`."""
    found: str = constant("dataset", dataset, "TASK", "classification")
    return found


def metric_title(dataset: str) -> str:
    """The metric of a data set's task as people read it: `accuracy`, `AUC`."""
    found: str = constant("task", task(dataset), "TITLE")
    return found


def cuts(strategy: str, options: Mapping[str, Any]) -> str:
    """How a strategy makes members of a family smaller: its option `cuts`; by depth where it has none."""
    known = keywords("strategy", strategy, "groups")
    return str(options.get("cuts", known["cuts"])) if "cuts" in known else "depth"


def allowed(kind: str, name: str) -> dict[str, tuple[Any, ...]]:
    """A plugin's constant `ALLOWED`: for an option its words (none: any text), or its least and most number (None: no
    bound).
    """
    limits: dict[str, tuple[Any, ...]] = constant(kind, name, "ALLOWED", {})
    return limits


OPTIONS_OF = {
    "dataset": ("prepare",),
    "family": ("build",),
    "partitioner": ("partition",),
    "strategy": ("groups", "select", "server", "objective"),
    "capacity": ("capacities",),
    "availability": ("spells",),
}
"""The functions of a plugin whose keyword-only parameters are its options; a strategy may have some of them."""


def functions(kind: str, name: str) -> dict[str, ast.FunctionDef]:
    """The functions of a plugin that take its options, as far as it has them, read without importing it."""
    found = {node.name: node for node in _tree(kind, name).body if isinstance(node, ast.FunctionDef)}
    return {function: found[function] for function in OPTIONS_OF[kind] if function in found}


def keywords(kind: str, name: str, function: str | None = None) -> dict[str, Any]:
    """A plugin's options, or those of one of its functions, and their (literal) defaults, read without importing it."""
    options: dict[str, Any] = {}
    for each, node in functions(kind, name).items():
        if function in (None, each):
            pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            options |= {arg.arg: ast.literal_eval(default) for arg, default in pairs if default is not None}
    return options


def check_options(kind: str, name: str, options: Mapping[str, Any]) -> None:
    """Check a plugin's options against the keyword-only parameters of the functions that take them.

    Raises:
        UserError: an option is not known, its type is not that of the default, or its value is not allowed.
    """
    if wrong := list(wrong_options(kind, name, options)):
        raise UserError("\n".join(text for _, text in wrong))


def wrong_options(kind: str, name: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The options of a plugin that `check_options` refuses, and why."""
    wrong = list(_wrong_alone(kind, name, options))
    yield from wrong or _apart(kind, name, keywords(kind, name) | dict(options))


def _wrong_alone(kind: str, name: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The options that are wrong whatever the others are."""
    known, limits = keywords(kind, name), allowed(kind, name)
    for key, value in options.items():
        if key not in known:
            yield key, str(unknown(f"option of {kind} {name!r}", key, known))
        elif not _fits(value, known[key]):
            wanted = f"{KINDS[type(known[key])]} (its default is {known[key]!r})"
            yield key, f"option {key!r} of {kind} {name!r} must be {wanted}, got {value!r}."
        elif key in limits and (text := _beyond(f"{key} of {kind} {name!r}", value, limits[key])):
            yield key, text


def _apart(kind: str, name: str, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Options that do not go together, by the constant `ONLY_WITH`: option, value, and what another option must be."""
    needs: dict[str, dict[str, tuple[str, Any]]] = constant(kind, name, "ONLY_WITH", {})
    for key, of_values in needs.items():
        other, value = of_values.get(options[key], (key, options[key]))
        if options[other] != value:
            yield key, f"`{key}: {options[key]}` goes with `{other}: {value}` only, not with `{options[other]}`."


def _fits(value: Any, default: Any) -> bool:
    """Whether a value is of the kind of the default; a whole number is a number, and a boolean is none."""
    if default is None or isinstance(value, bool) != isinstance(default, bool):
        return default is None
    return isinstance(value, int | float if isinstance(default, float) else type(default))


def _beyond(what: str, value: Any, allowed: tuple[Any, ...]) -> str | None:
    """Why a value is not allowed, if it is not."""
    if isinstance(value, str):
        return None if value in allowed or not allowed else str(unknown(what, value, allowed))
    least, most = allowed
    if (least is None or value >= least) and (most is None or value <= most):
        return None
    bounds = f"{least:g} or more" if most is None else f"between {least:g} and {most:g}"
    return f"{what} must be {bounds}, got {value!r}."
