"""A study as a research object: a real cell is packed, and the crate is held against its profile."""

import json
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from flexifed.settings import registry
from flexifed.system.files import digest

pytest.importorskip("rocrate", reason="packing a study needs rocrate, which `make setup` installs")

ROOT = registry.PACKAGE.parent
CELL = ("digits8", "mlp", "max_common", "quick", "0")


def flexifed(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flexifed", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results/quick` of one short cell, and its crate, unpacked in `crate`."""
    folder = tmp_path_factory.mktemp("crate")
    study = yaml.safe_load((ROOT / "config/quick.yaml").read_text())
    study["protocols"]["quick"]["rounds"] = 2
    (folder / "quick.yaml").write_text(yaml.safe_dump(study))
    flexifed(folder, "cell", "--config", "quick.yaml", *CELL)
    assert flexifed(folder, "crate", "results/quick").stdout == "results/quick.crate.zip\n"
    zipfile.ZipFile(folder / "results/quick.crate.zip").extractall(folder / "crate")
    return folder


@pytest.fixture(scope="module")
def entities(packed: Path) -> dict[str, dict[str, Any]]:
    """The crate's metadata by name."""
    graph = json.loads((packed / "crate/ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_every_file_is_there_with_its_digest(packed: Path, entities: dict[str, dict[str, Any]]) -> None:
    named = {name for name, entity in entities.items() if entity["@type"] == "File"}
    there = {path.relative_to(packed / "crate").as_posix() for path in (packed / "crate").rglob("*") if path.is_file()}
    assert named == there - {"ro-crate-metadata.json"}
    for name in named:
        assert entities[name]["sha256"] == digest(packed / "crate" / name)
        assert entities[name]["contentSize"] == str((packed / "crate" / name).stat().st_size)


def test_a_cell_is_an_action_from_inputs_to_results(packed: Path, entities: dict[str, dict[str, Any]]) -> None:
    cell = "/".join((*CELL[:4], f"seed{CELL[4]}"))
    record = json.loads((packed / "results/quick/cells" / cell / "run.json").read_text())
    action = entities[f"#{cell}"]
    assert action["@type"] == "CreateAction" and action["startTime"] == record["started"]
    assert {result["@id"] for result in action["result"]} == {
        f"cells/{cell}/{n}" for n in ("history.parquet", "run.json")
    }
    used = {used["@id"] for used in action["object"]}
    assert used == {"partitions/digits8/quick/seed0.parquet", "plans/mlp/max_common/quick.json", "#data-digits8"}
    assert all(entities[name]["sha256"] in record["digests"].values() for name in used if name != "#data-digits8")
    software = entities[action["instrument"]["@id"]]
    torch = f"https://pypi.org/project/torch/{record['packages']['torch']}/"
    assert torch in [needed["@id"] for needed in software["softwareRequirements"]]


def test_the_crate_is_what_its_profile_asks_for(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network: the terms come from the packing library, and the two checks that fetch them are left out."""
    pytest.importorskip("rocrate_validator", reason="validation needs roc-validator")
    from rocrate_validator import models, services
    from rocrate_validator.utils import document_loader

    terms = json.loads((files("rocrate") / "data/ro-crate.jsonld").read_text())
    monkeypatch.setattr(document_loader, "_fetch_json_ld", lambda address: terms)
    settings = services.ValidationSettings(
        rocrate_uri=str(packed / "crate"),
        profile_identifier="process-run-crate",
        requirement_severity=models.Severity.REQUIRED,
    )
    issues = services.validate(settings).get_issues()
    fetching = ("ro-crate-1.1_3.1", "ro-crate-1.1_3.2")
    assert [f"{i.check.identifier}: {i.message}" for i in issues if i.check.identifier not in fetching] == []


def test_a_folder_without_a_finished_cell(tmp_path: Path) -> None:
    assert "no finished cell is there" in flexifed(tmp_path, "crate", ".", "out.zip", code=2).stderr
    assert not (tmp_path / "out.zip").exists()
