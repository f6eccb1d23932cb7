"""A digest of the code a result depends on: a change of code reaches the results, a change of words does not.

Comments, formatting and docstrings do not enter, nor do the addresses of archives, whose digests are recorded with the
data. Modules are followed through their import statements inside this
package; plugins are loaded by name, so the ones a result depends on are named by the caller.
"""

import ast
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

IGNORED = frozenset(
    f"flexifed.{name}" for name in ("archives", "bars", "download", "errors", "locks", "logs", "progress", "provenance")
)
"""Modules that no number depends on: they tell people things, or fetch archives whose digests are checked."""


ADDRESSES = "ARCHIVE"
"""How the names of constants begin that say where archives are."""


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


@lru_cache
def _module(module: str) -> tuple[str, frozenset[str]]:
    """The code without comments and docstrings, and the modules of this package it imports."""
    path = _file(module)
    assert path is not None, f"no module {module}"
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not _is_address(node)]
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "flexifed":
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            imports |= {name for name in submodules if _file(name)} or {node.module}
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names if alias.name.split(".")[0] == "flexifed"}
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a bare string is a docstring of something, wherever it stands
            node.body = [s for s in body if not _is_string(s)] or [ast.Pass()]  # type: ignore[attr-defined]
    return _canonical(tree), frozenset(imports)


def _canonical(node: Any) -> str:
    """A syntax tree as text, the same in every version of Python, for results come from several machines.

    `ast.unparse` writes f-strings differently from 3.12 on; newer versions give nodes new fields, empty in older code.
    """
    if isinstance(node, ast.AST):
        fields = (f"{name}={_canonical(v)}" for name, v in ast.iter_fields(node) if v is not None and v != [])
        return f"{type(node).__name__}({', '.join(fields)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_canonical, node))}]"
    return repr(node)


def _is_address(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id.startswith(ADDRESSES) for target in targets)


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def modules(*roots: str) -> list[str]:
    """The given modules and everything of this package that they import, sorted."""
    found: set[str] = set()
    queue = list(roots)
    while queue:
        module = queue.pop()
        if module not in found | IGNORED:
            found.add(module)
            queue.extend(_module(module)[1])
    return sorted(found)


@lru_cache
def digest(*roots: str) -> str:
    """Sixteen hex digits that change when the code of the given modules, or of what they import, changes."""
    total = hashlib.sha256()
    for module in modules(*roots):
        total.update(f"{module}\n{_module(module)[0]}\n".encode())
    return total.hexdigest()[:16]
