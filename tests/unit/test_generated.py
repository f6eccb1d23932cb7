"""What is generated and committed says what the code and the results say."""

from pathlib import Path

import pytest

from flexifed import generated
from flexifed.settings.cell import Cell
from tests.scale import __main__ as scale
from tests.unit import results

PATHS = (
    generated.CONFIG / "config.schema.json",
    generated.CONFIG / "README.md",
    generated.ROOT / "README.md",
    generated.REFERENCE / "README.md",
    generated.ROOT / "envs/flexifed.yaml",
    generated.ROOT / "pixi.toml",
    generated.ROOT / "docs/commands.md",
    generated.ROOT / "docs/data.md",
    *(
        generated.ROOT / f"docs/systems/{name}.md"
        for name in ("index", "flexifed", "fedavg", "horizontal", "elastic", "devices")
    ),
    generated.ROOT / "docs/disagreement.md",
    generated.ROOT / "docs/speed.md",
    *(generated.REFERENCE / name / "queue.jsonl" for name in generated.QUEUES),
    *(generated.REFERENCE / name / "effects.json" for name in ("disagreement-few", "fairness", "click-through")),
)


def test_a_reference_table_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [Cell("cifar10", "vgg", s, "official", seed) for s in ("standalone", "max_common") for seed in (0, 1)]
    there = {cell: {"V1": 60.0 + cell.seed, "V2": 60.0} for cell in expected if cell.strategy == "standalone"}
    results.write_study(tmp_path, there)
    results.write_tables(tmp_path, expected, {"official": results.PROTOCOL}, tmp_path / "study/tables")
    monkeypatch.setattr(generated, "REFERENCE", tmp_path)
    *_, line = generated.reference_table("study").splitlines()
    assert line == "| CIFAR-10, VGG | 60.2 ± 3.2 |  |  |  | missing |"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(generated.ROOT)))
def test_generated_files_are_up_to_date(path: Path) -> None:
    """Run `make generate` when this fails."""
    contents = generated.contents()
    assert set(contents) == set(PATHS)
    assert path.read_text() == contents[path]


def test_the_page_about_scale_says_what_was_measured() -> None:
    assert scale.page() == scale.PAGE.read_text(), "run: python -m tests.scale"
