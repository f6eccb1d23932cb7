"""The code digest changes with what can change a number, and with nothing else."""

import ast
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import torch

from flexifed.settings import codedigest, registry
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.settings.protocol import Protocol
from flexifed.training import federation, precision
from tests.unit import federations

A = '''"""Doc."""
import logging

from flexifed import b
from flexifed.protocol import Closed

log = logging.getLogger("flexifed")
UNUSED = 1


def f(x: int) -> int:
    """Doc."""
    assert x > 0, "text"
    log.info("text %d", x)
    hint = f"text {x}"
    if x == 7:
        raise ValueError(f"text {hint}")
    return b.g(x)


class Settings(Closed):
    key: int = 1

    def double(self) -> int:
        return 2 * self.key


def main(settings: Settings, x: int) -> int:
    return f(x) + settings.double()
'''


def forget() -> None:
    """What was read of the modules before."""
    for function in vars(codedigest).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package: `a.main` uses `a.f`, which uses `b.g`; nothing uses `c`."""
    folder = tmp_path / "flexifed"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text(A)
    (folder / "b.py").write_text("from flexifed.c import h\n\nSTEP = 1\n\ndef g(x):\n    return x + STEP\n")
    (folder / "c.py").write_text("def h(x):\n    return x\n\nSTEP = 1\n")
    (folder / "protocol.py").write_text("class Closed:\n    pass\n")
    monkeypatch.setattr(codedigest, "ROOT", tmp_path)
    forget()
    yield folder
    forget()


def digest() -> str:
    forget()
    return codedigest.digest("flexifed.a:main")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} does not hold {old!r}"
    path.write_text(text.replace(old, new))


NEUTRAL = {
    "docstring": ("a", '    """Doc."""', '    """Other words."""  # and a comment'),
    "formatting": ("b", "x + STEP", "(x  +  STEP)"),
    "words of an error": ("a", 'ValueError(f"text {hint}")', 'KeyError(f"better {x}")'),
    "words that only an error says": ("a", 'hint = f"text {x}"', 'hint = f"a better text {x}"'),
    "what is logged": ("a", 'log.info("text %d", x)', 'log.warning("%d", x + 1)'),
    "an assertion": ("a", 'assert x > 0, "text"', "assert x > 1"),
    "an annotation": ("a", "def f(x: int) -> int", "def f(x: float) -> object"),
    "something that is not used": ("a", "UNUSED = 1", "UNUSED = 2"),
    "a new key of settings": ("a", "    key: int = 1\n", "    key: int = 1\n    more: int = 3\n"),
    "another way to import": ("a", "from flexifed import b", "import flexifed.b as b"),
    "an import of its own": ("a", "import logging", "import logging\nimport math"),
}
MATTERS = {
    "a constant": ("b", "STEP = 1", "STEP = 2"),
    "an operator": ("b", "x + STEP", "x - STEP"),
    "a condition": ("a", "x == 7", "x == 8"),
    "a method of settings": ("a", "2 * self.key", "3 * self.key"),
    "another function of that name": ("a", "from flexifed import b", "from flexifed import c as b\n\nh = g = 0"),
    "a text that is a value": ("a", "return b.g(x)", "return b.g(x) if hint else 0"),
    "something of another package": ("a", "return b.g(x)", "return b.g(logging.INFO)"),
}


@pytest.mark.parametrize("change", [*NEUTRAL, *MATTERS])
def test_it_changes_with_what_a_number_depends_on_and_with_nothing_else(package: Path, change: str) -> None:
    module, old, new = {**NEUTRAL, **MATTERS}[change]
    before = digest()
    edit(package / f"{module}.py", old, new)
    assert (digest() != before) == (change in MATTERS)


def test_an_import_of_a_namesake_changes_it_where_both_are_used(package: Path) -> None:
    """The names and the set of definitions stay; what a name stands for does not."""
    edit(
        package / "b.py",
        "STEP = 1",
        "from flexifed import c\nfrom flexifed.c import STEP\nOTHER = 2\nUSED = (c.h, OTHER)",
    )
    edit(package / "b.py", "x + STEP", "x + STEP if USED else OTHER")
    before = digest()
    edit(package / "c.py", "STEP = 1", "STEP = 1\nOTHER = 1")
    edit(package / "b.py", "from flexifed.c import STEP\nOTHER = 2", "from flexifed.c import OTHER, STEP\nMORE = 2")
    assert digest() != before


def test_a_definition_and_a_module_may_move(package: Path) -> None:
    before = digest()
    edit(package / "b.py", "STEP = 1\n", "from flexifed.deep.constants import STEP\n")
    (package / "deep").mkdir()
    (package / "deep/__init__.py").write_text("")
    (package / "deep/constants.py").write_text("STEP = 1\n")
    (package / "b.py").rename(package / "deep/functions.py")
    edit(package / "a.py", "from flexifed import b\n", "from flexifed.deep import functions\n")
    edit(package / "a.py", "b.g(x)", "functions.g(x)")
    assert digest() == before


def test_a_package_may_import_its_own_modules(package: Path) -> None:
    (package / "deep").mkdir()
    (package / "deep/__init__.py").write_text("from flexifed.deep import inner\n\ndef main():\n    return inner.g()\n")
    (package / "deep/inner.py").write_text("def g():\n    return 1\n")
    forget()
    names = {definition.name for definition in codedigest.reached("flexifed.deep")}
    assert names == {"main", "g"}


def test_names_are_hidden_as_python_hides_them(package: Path) -> None:
    """Parameters, local names and those of comprehensions are not the module's definitions."""
    (package / "a.py").write_text(
        "from flexifed import b, c\n\ndef main(b, xs):\n    c = 1\n    return b.g(c) + sum(c.h for c in xs)\n"
    )
    forget()
    assert codedigest.reached("flexifed.a:main") == {codedigest.Definition("flexifed.a", "main")}


def test_what_a_module_does_on_import_counts(package: Path) -> None:
    before = digest()
    (package / "b.py").write_text((package / "b.py").read_text() + "\nSTEP += 1\n")
    assert digest() != before


def test_fields_that_other_versions_of_python_have_do_not_change_it() -> None:
    tree = ast.parse("def f(x: int = 1) -> str:\n    return f'{x!r:>{x}} {{}}' if x else {**x}")
    newer = ast.parse("def f(x: int = 1) -> str:\n    return f'{x!r:>{x}} {{}}' if x else {**x}")
    for node, value in ((newer.body[0], []), (newer.body[0], None)):
        node._fields = (*node._fields, "of_the_future")
        node.of_the_future = value  # type: ignore[attr-defined]
        assert codedigest.Writer({}).of(newer) == codedigest.Writer({}).of(tree)


# The package itself


JOBS = {
    f"{dataset} {family} {engine}": Job(Cell(dataset, family, "max_common", "official", 0), Protocol(), {}, engine)
    for dataset, family, engine in (
        ("cifar10", "vgg", "serial"),
        ("cifar10", "resnet", "fast"),
        ("speechcommands12", "vgg", "fast"),
        ("agnews", "charcnn", "fast"),
        ("agnews", "vdcnn", "serial"),
    )
} | {
    f"speechcommands resnet serial {what}": Job(
        Cell("speechcommands", "resnet", strategy, "official", 0), Protocol(), {}, "serial"
    )
    for what, strategy in (("server", "fedavgm"), ("adaptive server", "fedyogi"), ("objective", "fedprox"))
}
"""Every family, both engines, every kind of sample, and what a strategy may say."""


def identities() -> dict[str, str]:
    forget()
    return {name: job.code() for name, job in JOBS.items()}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, which digests are taken of."""
    folder = tmp_path / "flexifed"
    shutil.copytree(registry.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(codedigest, "ROOT", tmp_path)
    yield folder
    forget()


EDITS: dict[str, tuple[str, str, str, Callable[[str], bool]]] = {
    "a family": ("models/vgg.py", "(1, 2, 4, 8, 8)", "(1, 2, 4, 8, 4)", lambda job: " vgg " in job),
    "what families share": ("models/_blocks.py", "4 * round(scaled / 4)", "8 * round(scaled / 8)", lambda job: True),
    "a transform": (
        "data/transforms.py",
        "crop_padding: int = 4",
        "crop_padding: int = 3",
        lambda job: "cifar10" in job,
    ),
    "another transform": ("data/transforms.py", "shift: int = 8", "shift: int = 4", lambda job: "speech" in job),
    "a data set's use of it": ("datasets/cifar10.py", "0.4914", "0.5", lambda job: "cifar10" in job),
    "an engine": ("engines/_workspace.py", "EVALUATION_BATCH = 500", "EVALUATION_BATCH = 5", lambda job: "fast" in job),
    "the other engine": ("engines/serial.py", "optimiser.zero_grad()", "pass", lambda job: "serial" in job),
    "the precision of a run": ("training/precision.py", 'else "ieee"', 'else "none"', lambda job: True),
    "the precision of a step": (
        "training/precision.py",
        "torch.bfloat16,",
        "torch.float16,",
        lambda job: "fast" in job,
    ),
    "random streams": ("settings/rng.py", '[:8], "little") >> 1', '[:8], "big") >> 1', lambda job: True),
    "a method of the protocol": ("settings/protocol.py", "self.clients // len", "self.clients % len", lambda job: True),
    "the mean": ("training/server.py", "held.total += share", "held.total += 1", lambda job: True),
    "what is evaluated when": (
        "training/rounds.py",
        "number % protocol.evaluate_every",
        "number % 3",
        lambda job: True,
    ),
    "a key of the protocol": (
        "settings/protocol.py",
        "    rounds: Count = 502",
        "    new: int = 1\n    rounds: Count = 502",
        lambda job: False,
    ),
    "a default of the protocol": (
        "settings/protocol.py",
        "rounds: Count = 502",
        "rounds: Count = 503",
        lambda job: False,
    ),
    "an error": (
        "training/rounds.py",
        "lower `optimiser.learning_rate`",
        "reduce the learning rate",
        lambda job: False,
    ),
    "an error in a file's reader": (
        "data/samples.py",
        "has changed since it was",
        "is not as it was",
        lambda job: False,
    ),
    "errors themselves": ("settings/registry.py", "Did you mean", "Perhaps you mean", lambda job: False),
    "who takes part": ("selection/uniform.py", '"participants"', '"others"', lambda job: True),
    "the server's step": (
        "training/rules.py",
        "velocity, alpha",
        "velocity, beta",
        lambda job: job.endswith("l server"),
    ),
    "an adaptive server's step": ("training/adaptive.py", ".sqrt_()", ".sin_()", lambda job: "adaptive" in job),
    "its own part of it": ("training/adaptive.py", "torch.sign", "torch.sine", lambda job: "adaptive" in job),
    "another's part of it": ("training/adaptive.py", "second.lerp_", "second.rerp_", lambda job: False),
    "a strategy's server": (
        "strategies/fedavgm.py",
        "Momentum(momentum",
        "Momentum(-momentum",
        lambda job: job.endswith("l server"),
    ),
    "another server's step": ("training/rules.py", "torch.lerp", "torch.rerp", lambda job: False),
    "an objective": ("training/objectives.py", "sub_(start", "add_(start", lambda job: "objective" in job),
    "masked training": ("training/objectives.py", "gradient.mul_(mask)", "gradient.add_(mask)", lambda job: True),
    "how masks are made": ("elastic/pruning.py", "HELD_OUT = 0.2", "HELD_OUT = 0.3", lambda job: False),
    "a strategy": ("strategies/max_common.py", "node.clients)", "node.clients[:2])", lambda job: False),
    "how data are prepared": (
        "datasets/cifar10.py",
        "reshape(-1, 3, 32, 32)",
        "reshape(-1, 3, 32, -1)",
        lambda job: False,
    ),
    "addresses": ("datasets/cifar10.py", "https://www.cs.toronto.edu", "https://example.org", lambda job: False),
    "a record": ("settings/job.py", 'RECORDED_ONLY = ("final"', 'RECORDED_ONLY = ("rounds"', lambda job: False),
}


@pytest.mark.parametrize("change", EDITS)
def test_an_edit_changes_the_identity_of_the_cells_that_it_can_change_and_of_no_other(copy: Path, change: str) -> None:
    path, old, new, expected = EDITS[change]
    before = identities()
    edit(copy / path, old, new)
    after = identities()
    assert {job for job in JOBS if after[job] != before[job]} == {job for job in JOBS if expected(job)}


def of_modules() -> dict[str, set[str]]:
    """Every module that some cell depends on -> the definitions in it that cells reach."""
    found: dict[str, set[str]] = {}
    for job in JOBS.values():
        for definition in codedigest.reached(*job.roots()):
            found.setdefault(definition.module, set()).add(definition.name)
    return found


class Reworded(ast.NodeTransformer):
    """Other words in docstrings, errors, assertions and logs; no annotation where one can be missing."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("other words") if isinstance(node.value, str) else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.copy_location(ast.parse("raise RuntimeError('other words')").body[0], node)


class Neutral(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        logged = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).lower().startswith("log.")
        return Reworded().visit(node) if text or logged else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return Reworded().visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return ast.copy_location(ast.parse("assert True, 'other words'").body[0], node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return (
            ast.arg(node.arg, ast.Name("object"))
            if node.annotation is not None and _is_plain(node.annotation)
            else node
        )


def _is_plain(annotation: ast.expr) -> bool:
    """Whether an annotation names no class: those that it names are followed, for their methods may be called."""
    parts = list(ast.walk(annotation))
    return all(isinstance(part, ast.Name | ast.Load) for part in parts) and ast.unparse(annotation).islower()


def test_other_words_in_every_module_change_nothing(copy: Path) -> None:
    """All at once: docstrings, comments, formatting, assertions, logs, errors, plain annotations."""
    before, edited = identities(), 0
    for module in of_modules():
        path = codedigest._file(module)
        assert path is not None
        text = ast.unparse(ast.fix_missing_locations(Neutral().visit(ast.parse(path.read_text()))))
        edited += text != path.read_text()
        path.write_text(text)
    assert edited == len(of_modules()) > 20
    assert identities() == before


def test_a_change_in_every_definition_changes_the_cells_that_depend_on_it(copy: Path) -> None:
    """One statement more in each function and class that any cell reaches, another value in each constant."""
    before = {name: {d: codedigest._text(d) for d in codedigest.reached(*job.roots())} for name, job in JOBS.items()}
    for module in of_modules():
        path = codedigest._file(module)
        assert path is not None
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                node.body.append(ast.parse("more = 1").body[0])
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                node.value = ast.Tuple([node.value, ast.Constant(1)], ast.Load())
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    forget()
    for texts in before.values():
        assert not [definition for definition, text in texts.items() if codedigest._text(definition) == text]


@contextmanager
def executed() -> Iterator[set[CodeType]]:
    """The code of every function that is called."""
    found: set[CodeType] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            found.add(frame.f_code)

    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)


def definitions(code: set[CodeType]) -> set[codedigest.Definition]:
    """The top-level definitions of the package that code belongs to."""
    found = set()
    for one in code:
        path = Path(one.co_filename)
        if path.is_relative_to(registry.PACKAGE) and one.co_qualname[0] != "<":
            module = ".".join(path.relative_to(registry.PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
            found.add(codedigest.Definition(module, one.co_qualname.partition(".")[0]))
    return found


WORDING = {codedigest.Definition("flexifed.sharing.plan", "ranges")}
"""What only words an error, which may be worded before it is known whether it is raised."""

ROUNDS: Mapping[str, Any] = {"rounds": 1, "local_epochs": 1, "test_updates_statistics": True}


@pytest.mark.parametrize("engine", registry.names("engine"))
@pytest.mark.parametrize("family", registry.names("family"))
def test_whatever_runs_while_a_cell_is_trained_is_in_its_identity(tmp_path: Path, family: str, engine: str) -> None:
    """From assembling the federation to its last test; only the ignored modules are not."""
    small = federations.job(family=family, **ROUNDS)
    job = Job(small.cell, small.protocol, small.family_options, engine)
    paths = federations.files(tmp_path, job)
    module = registry.load("engine", engine)
    with executed() as code:
        assembled = federation.assemble(job, *paths.values(), device=torch.device("cpu"))
        with precision.applied(job.precision):
            federations.loop(assembled, module.create(assembled))
    forget()
    ran = {definition for definition in definitions(code) if not codedigest._is_ignored(definition.module)}
    assert len(ran) > 50
    assert ran - codedigest.reached(*job.roots()) <= WORDING
