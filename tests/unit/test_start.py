"""docs/index.md, followed literally: the study of the first ten minutes."""

import subprocess
import sys
from pathlib import Path

from flexifed.settings import registry

DOCUMENT = (registry.PACKAGE.parent / "docs/index.md").read_text()


def test_the_study_of_the_start_page_is_one_and_its_cells_run(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(DOCUMENT.split("```yaml\n")[1].split("```")[0])
    check = next(line for line in DOCUMENT.splitlines() if line.startswith("python -m flexifed cells")).split("#")[0]
    listed = subprocess.run(
        [sys.executable, *check.split()[1:]], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(listed) == 6
    cell = next(line.split()[-1] for line in listed if "max_common" in line).replace("/seed", "/").split("/")
    command = [sys.executable, "-m", "flexifed", "cell", "--config", "mine.yaml", *cell]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.strip() / "history.parquet").exists()
