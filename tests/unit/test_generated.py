"""What is generated and committed says what the code and the results say."""

from pathlib import Path

import pytest

from flexifed import generated
from tests.scale import __main__ as scale

PATHS = (
    generated.CONFIG / "config.schema.json",
    generated.CONFIG / "README.md",
    generated.ROOT / "README.md",
    generated.ROOT / "docs/disagreement.md",
    generated.ROOT / "docs/speed.md",
    *(generated.REFERENCE / name / "queue.jsonl" for name in generated.QUEUES),
    generated.REFERENCE / "disagreement-few/effects.json",
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(generated.ROOT)))
def test_generated_files_are_up_to_date(path: Path) -> None:
    """Run `make generate` when this fails."""
    contents = generated.contents()
    assert set(contents) == set(PATHS)
    assert path.read_text() == contents[path]


def test_the_page_about_scale_says_what_was_measured() -> None:
    assert scale.page() == scale.PAGE.read_text(), "run: python -m tests.scale"
