"""A digest of the code that a result depends on: what can change a number, and nothing else.

The unit is a definition at the top level of a module: a function, a class, a constant. A digest is taken over every
definition that can be reached from the ones it is asked for, each written as its syntax tree, with every name that
stands for another definition tied to the content of that definition. So a definition may move to another module, and a
module to another folder, and no digest changes.

Left out, because no number depends on it: comments, docstrings, formatting, annotations, assertions, what is logged,
the errors that are raised with all their words, and the modules in `IGNORED`. The fields of a class derived from
`Closed` are settings: their values are recorded with each result, so a new field changes no digest; the methods count.

Plugins are loaded by name, which no import statement shows; whoever asks for a digest names them.
"""

import ast
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "flexifed"
ROOT = Path(__file__).parent.parent.parent

IGNORED = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "system",
        *("data.archives", "data.download"),  # fetch files whose digests are checked
        "engines._trial",  # only chooses between two ways to run the same steps
        *("settings.codedigest", "settings.job", "settings.layout", "settings.registry"),  # names, and what a result is
    )
)
"""Modules and packages that no number depends on."""

SETTINGS = "Closed"
"""Base class of the settings that are recorded with every result."""

ON_IMPORT = ""
"""Name of what a module does when it is imported, beyond defining things."""

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, order=True)
class Definition:
    """A definition of this package, by its place."""

    module: str
    name: str


@dataclass(frozen=True)
class Module:
    """A module of this package as a value."""

    name: str


@dataclass(frozen=True)
class Ignored:
    """An ignored module, or something of one."""

    name: str


Target = Definition | Module | Ignored | str
"""What a name stands for; a string is something of another package or of Python."""
Names = Mapping[str, Target]


@dataclass(frozen=True)
class Source:
    """A module, read.

    Attributes:
        statements: of each definition; under `ON_IMPORT` what the module does besides.
        imports: what the imports at its top level bind.
    """

    statements: Mapping[str, Sequence[ast.stmt]]
    imports: Mapping[str, tuple[str, str]]


@cache
def digest(*roots: str) -> str:
    """Sixteen hex digits that change when code that the given roots depend on changes.

    Args:
        roots: `package.module`, for all that is defined there, or `package.module:name`.
    """
    lines = set()
    for definition in reached(*roots):
        written = _text(definition)
        lines.add("\n".join([written.text, *(_text(reference).text for reference in written.references)]))
    return hashlib.sha256("\n\n".join(sorted(lines)).encode()).hexdigest()[:16]


@cache
def reached(*roots: str) -> frozenset[Definition]:
    """The definitions that the roots depend on, the roots included, and what their modules do when imported."""
    queue = [definition for root in roots for definition in _of_root(root)]
    found: set[Definition] = set()
    while queue:
        if (definition := queue.pop()) not in found:
            found.add(definition)
            queue += [*_text(definition).references, *_text(definition).mentioned]
            if ON_IMPORT in _source(definition.module).statements:
                queue.append(Definition(definition.module, ON_IMPORT))
    return frozenset(found)


def _of_root(root: str) -> list[Definition]:
    module, _, name = root.partition(":")
    if not name:
        return _all_of(module)
    target = _attribute(module, name)
    assert isinstance(target, Definition), f"{root} is not defined"
    return [target]


def _all_of(module: str) -> list[Definition]:
    assert _file(module) is not None, f"no module {module}"
    return [Definition(module, name) for name in _source(module).statements]


# Modules and what their names stand for


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _is_ignored(module: str) -> bool:
    return any(f"{module}.".startswith(f"{ignored}.") for ignored in IGNORED)


@cache
def _source(module: str) -> Source:
    path = _file(module)
    assert path is not None, f"no module {module}"
    statements: dict[str, list[ast.stmt]] = {}
    imports: dict[str, tuple[str, str]] = {}
    for statement in ast.parse(path.read_text()).body:
        if found := _imported(statement):
            imports |= found
        elif not _says_nothing(statement):
            for name in _defined(statement) or [ON_IMPORT]:
                statements.setdefault(name, []).append(statement)
    return Source(statements, imports)


def _imported(statement: ast.AST) -> dict[str, tuple[str, str]]:
    """What an import, or an `if TYPE_CHECKING:` with imports, binds: local name -> (module, name in it or nothing)."""
    if isinstance(statement, ast.ImportFrom) and statement.module:
        return {alias.asname or alias.name: (statement.module, alias.name) for alias in statement.names}
    if isinstance(statement, ast.Import):
        pairs = [(alias.asname, alias.name) for alias in statement.names]
        return {
            short or name.partition(".")[0]: (name if short else name.partition(".")[0], "") for short, name in pairs
        }
    if isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING":
        return {name: target for inner in statement.body for name, target in _imported(inner).items()}
    return {}


def _defined(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign():
            return [n.id for target in statement.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _resolved(module: str, name: str) -> Target:
    """What an import of `name` from `module` (of the module itself where it is empty) stands for."""
    whole = f"{module}.{name}" if name else module
    if module.partition(".")[0] != PACKAGE:
        return whole
    if _is_ignored(whole):
        return Ignored(whole.rpartition(".")[2])
    return _attribute(module, name) if name else Module(module)


@cache
def _attribute(module: str, name: str) -> Target:
    """What an attribute of a module of this package stands for."""
    source = _source(module)
    if name in source.statements:
        return Definition(module, name)
    if source.imports.get(name, (module, name)) != (module, name):  # a package may import its own modules
        return _resolved(*source.imports[name])
    return Module(f"{module}.{name}") if _file(f"{module}.{name}") else name


@cache
def _names(module: str) -> Names:
    """What every name at the top level of a module stands for."""
    source = _source(module)
    return {
        **{name: _resolved(*imported) for name, imported in source.imports.items()},
        **{name: Definition(module, name) for name in source.statements},
    }


# A definition as text


@dataclass(frozen=True)
class Text:
    """A definition as text that is the same in every version of Python, wherever the definition stands.

    Attributes:
        references: the definitions that it names, in order.
        mentioned: those that only annotations name: their methods may be called.
    """

    text: str
    references: tuple[Definition, ...]
    mentioned: tuple[Definition, ...]


@cache
def _text(definition: Definition) -> Text:
    writer = Writer(_names(definition.module))
    text = writer.of(list(_source(definition.module).statements[definition.name]))
    return Text(text, tuple(writer.references), tuple(writer.mentioned))


@dataclass
class Writer:
    """Writes nodes as text and notes what they name.

    Attributes:
        names: what the names stand for where the writer is.
        read: names that the function the writer is in reads, for anything but errors and logs; None outside functions.
    """

    names: Names
    read: frozenset[str] | None = None
    references: list[Definition] = field(default_factory=list)
    mentioned: list[Definition] = field(default_factory=list)

    def of(self, node: Any) -> str:
        """The node as text; fields that are empty are left out, since newer versions of Python have more of them."""
        match node:
            case ast.Name() | ast.Attribute():
                return self._reference(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                return self._within(_names_in_function(node, self.names), node, _read(node))
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node)
            case ast.Raise():
                return "Raise()"
            case ast.arg():
                self._mention(node.annotation)
                return f"arg({node.arg})"
            case ast.AnnAssign():
                self._mention(node.annotation)
                return f"Assign({self.of(node.target)}, {self.of(node.value)})"
            case ast.Call():
                return self._call(node)
            case ast.AST():
                return self._within(self.names, node, self.read)
            case list():
                return f"[{', '.join(self.of(entry) for entry in node if not self._is_left_out(entry))}]"
        return repr(node)

    def _is_left_out(self, entry: Any) -> bool:
        if not isinstance(entry, ast.stmt):
            return False
        return _says_nothing(entry) or (self.read is not None and _is_wording(entry, self.read))

    def _within(self, names: Names, node: ast.AST, read: frozenset[str] | None, **replaced: Any) -> str:
        outer = self.names, self.read
        self.names, self.read = names, read
        fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
        self._mention(fields.pop("returns", None))
        if isinstance(node, ast.ClassDef) and _are_settings(node):
            fields["body"] = [statement for statement in node.body if not isinstance(statement, ast.AnnAssign)]
        text = ", ".join(f"{name}={self.of(value)}" for name, value in {**fields, **replaced}.items())
        self.names, self.read = outer
        return f"{type(node).__name__}({text})"

    def _comprehension(self, node: Comprehension) -> str:
        """Its variables hide names of the module, but not from what it first runs over."""
        first = self.of(node.generators[0].iter)
        own = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        inner = {name: target for name, target in self.names.items() if name not in own}
        return f"{first} {self._within(inner, node, self.read)}"

    def _call(self, node: ast.Call) -> str:
        """A call; an ignored module is given its words in vain."""
        function = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        said = isinstance(function, ast.Name) and isinstance(self.names.get(function.id), Ignored)
        arguments = [argument for argument in node.args if not (said and _is_text(argument))]
        return self._within(self.names, node, self.read, args=arguments)

    def _reference(self, node: ast.Name | ast.Attribute) -> str:
        """A name, or a chain of attributes, as what it stands for as far as that is known."""
        if isinstance(node, ast.Name):
            return self._named(self.names.get(node.id, node.id))
        steps = [node.attr]
        inner = node.value
        while isinstance(inner, ast.Attribute):
            steps.insert(0, inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            return f"{self.of(inner)}.{'.'.join(steps)}"
        target: Target = self.names.get(inner.id, inner.id)
        while steps and isinstance(target, Module):
            target = _resolved(target.name, steps.pop(0))
        return ".".join([self._named(target), *steps])

    def _named(self, target: Target) -> str:
        if isinstance(target, Module):  # it is handed on as a value: whatever it holds may be used
            self.references += _all_of(target.name)
            return "module"
        if isinstance(target, Definition):
            self.references.append(target)
        return target if isinstance(target, str) else target.name

    def _mention(self, annotation: ast.AST | None) -> None:
        """Follow an annotation without making it part of the text."""
        for part in _unquoted(annotation):
            writer = Writer(self.names)
            writer.of(part)
            self.mentioned += writer.references


def _unquoted(annotation: ast.AST | None) -> Iterator[ast.AST]:
    """An annotation, and the expressions in it that stand in quotes."""
    if annotation is None:
        return
    yield annotation
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with suppress(SyntaxError):  # a word of a `Literal`
                yield ast.parse(node.value, mode="eval").body


# What counts


def _are_settings(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == SETTINGS for base in node.bases)


def _read(node: Function) -> frozenset[str]:
    """The names that a function reads, for anything but errors and logs."""
    counting = (inner for child in ast.iter_child_nodes(node) for inner in _counting(child))
    return frozenset(n.id for n in counting if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))


def _counting(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one, without what says nothing to a number."""
    if not (isinstance(node, ast.Raise) or (isinstance(node, ast.stmt) and _says_nothing(node))):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _counting(child)


def _says_nothing(statement: ast.stmt) -> bool:
    """Whether it is a docstring, an import, an assertion, or something logged."""
    if isinstance(statement, ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Name):
        return value.func.value.id in ("log", "LOG")
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_wording(statement: ast.stmt, read: frozenset[str]) -> bool:
    """Whether it only names a text that nothing but an error or a log reads."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name not in read and _is_text(value)
    return False


def _is_text(value: ast.expr) -> bool:
    match value:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.IfExp(body=body, orelse=other):
            return _is_text(body) and _is_text(other)
        case ast.BinOp(left=left):
            return _is_text(left)
    return False


def _names_in_function(node: Function, names: Names) -> Names:
    """The module's names as a function sees them: hidden by its own, and with its own imports."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    own = {argument.arg for argument in every if argument}
    imports: dict[str, Target] = {}
    for inner in _of_function(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            own.add(inner.id)
        imports |= {name: _resolved(*imported) for name, imported in _imported(inner).items()}
    return {**{name: target for name, target in names.items() if name not in own}, **imports}


def _of_function(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function that share its names: not those of functions, classes and comprehensions in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | Comprehension | ast.ClassDef):
            yield child
            yield from _of_function(child)
