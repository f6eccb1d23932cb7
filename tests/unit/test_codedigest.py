"""The code digest changes with the code, and with nothing else."""

import ast
from pathlib import Path

import pytest

from flexifed import codedigest


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of three modules: `a` imports `b`; `c` stands alone."""
    folder = tmp_path / "flexifed"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text('"""Doc."""\nfrom flexifed import b\n\ndef f(x):\n    """Doc."""\n    return b.g(x)\n')
    (folder / "b.py").write_text("def g(x):\n    return x + 1\n")
    (folder / "c.py").write_text("Y = 1\n")
    monkeypatch.setattr(codedigest, "ROOT", tmp_path)
    forget()
    yield folder
    forget()


def forget() -> None:
    """What was read of the modules before."""
    codedigest._module.cache_clear()
    codedigest.digest.cache_clear()


def digest_after(package: Path, module: str, old: str, new: str) -> str:
    path = package / f"{module}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    forget()
    return codedigest.digest("flexifed.a")


def test_addresses_of_archives_do_not_change_it(package: Path) -> None:
    (package / "b.py").write_text("ARCHIVES = ('here',)\nARCHIVE_V1: str = 'x'\n\ndef g(x):\n    return x + 1\n")
    forget()
    before = codedigest.digest("flexifed.a")
    assert digest_after(package, "b", "('here',)", "('here', 'there')") == before
    assert digest_after(package, "b", "'x'", "'y'") == before


def test_imports_are_followed(package: Path) -> None:
    assert codedigest.modules("flexifed.a") == ["flexifed.a", "flexifed.b"]


def test_words_do_not_change_it(package: Path) -> None:
    before = codedigest.digest("flexifed.a")
    assert digest_after(package, "a", '    """Doc."""', '    """Other words."""  # and a comment') == before
    assert digest_after(package, "b", "x + 1", "(x  +  1)") == before


def test_code_changes_it_wherever_it_stands(package: Path) -> None:
    before = codedigest.digest("flexifed.a")
    after = digest_after(package, "b", "x + 1", "x + 2")
    assert after != before


def test_fields_that_other_versions_of_python_have_do_not_change_it() -> None:
    tree = ast.parse("def f(x: int = 1) -> str:\n    return f'{x!r:>{x}} {{}}' if x else {**x}")
    newer = ast.parse("def f(x: int = 1) -> str:\n    return f'{x!r:>{x}} {{}}' if x else {**x}")
    for node, value in ((newer.body[0], []), (newer.body[0], None)):
        node._fields = (*node._fields, "of_the_future")
        node.of_the_future = value  # type: ignore[attr-defined]
        assert codedigest._canonical(newer) == codedigest._canonical(tree)


def test_unrelated_modules_do_not_change_it(package: Path) -> None:
    before = codedigest.digest("flexifed.a")
    assert digest_after(package, "c", "Y = 1", "Y = 2") == before


def test_a_cells_code_includes_the_core_and_excludes_other_plugins_and_strategies() -> None:
    modules = codedigest.modules(
        "flexifed.federation", "flexifed.engines.serial", "flexifed.models.vgg", "flexifed.datasets.cifar10"
    )
    assert {"flexifed.client", "flexifed.plan", "flexifed.layers", "flexifed.engines.serial", "flexifed.rng"} <= set(
        modules
    )
    assert not [
        m for m in modules if m.startswith("flexifed.strategies.") or m in ("flexifed.models.resnet", "flexifed.config")
    ]
