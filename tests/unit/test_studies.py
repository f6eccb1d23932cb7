"""The studies of config/studies: each is valid, whole and in small, and has the cells that it is said to have."""

import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from flexifed import generated
from flexifed.analysis import published, titles
from flexifed.settings import registry
from flexifed.sharing import planning
from flexifed.study import config
from flexifed.study.config import Study

STUDIES = generated.CONFIG / "studies"
SMALL = generated.CONFIG / "overlays/small.yaml"
CELLS = {  # whole, in small
    "figure4": (4 * 4 * 3, 3 * 4),  # panels, schemes, seeds; CINIC-10's panel is CIFAR-10's in small
    "versions": (3 * (3 * 4 + 1) * 3, 3 * 13),
    "clients": (3 * 3 * 4 * 3, 36),
    "common_layers": (3 * 3 * 2 * 3, 18),
    "table3": (4 * 3 * 3, 3 * 3),
    "noniid": (4 * 2 * 3, 3 * 2),
    "reproductions": (537, 135),
    "disagreement": (23 * 5 * 3, 23 * 5),
}
OTHERS = {
    "fedavg_mnist": 35,
    "mcmahan": 49,
    "horizontal": 39,
    "selection": 40,
    "fairness": 85,
    "click_through": 24,
    "elasticity": 81,
}
"""Studies of other systems, which have no small variant."""


def read(name: str, *overlays: Path) -> Study:
    return config.read(STUDIES / f"{name}.yaml", *overlays)


def test_every_study_is_counted_here() -> None:
    assert {path.stem for path in STUDIES.glob("*.yaml")} == set(CELLS) | set(OTHERS)


@pytest.mark.parametrize("name", OTHERS)
def test_a_study_of_another_system_has_its_cells(name: str) -> None:
    study = read(name)
    assert study.name == name and len(study.cells()) == OTHERS[name]
    assert {cell.protocol for cell in study.cells()} == set(study.protocols)


@pytest.mark.parametrize("name", CELLS)
def test_a_study_has_its_cells_and_uses_all_its_protocols(name: str) -> None:
    study = read(name)
    assert study.name == name
    assert len(study.cells()) == CELLS[name][0]
    assert {cell.protocol for cell in study.cells()} == set(study.protocols)
    assert {cell.seed for cell in study.cells()} == {0, 1, 2}
    text = (STUDIES / f"{name}.yaml").read_text()
    assert text.startswith("# "), "its header says which part of the paper it is"


@pytest.mark.parametrize("name", CELLS)
def test_in_small_a_study_keeps_what_it_compares(name: str) -> None:
    whole, small = read(name), read(name, SMALL)
    assert small.name == f"{name}-small"
    assert len(small.cells()) == CELLS[name][1]
    assert {cell.dataset for cell in small.cells()} <= {"cifar10", "agnews", "speechcommands12"}
    for cell in small.cells():
        job = small.job(cell)
        assert job.protocol.rounds == 8
        assert job.family_options["width"] < 1
        settings = asdict(whole.protocol(cell.protocol))
        settings["optimiser"]["learning_rate"] = job.protocol.optimiser.learning_rate
        unlike = {key for key, value in asdict(job.protocol).items() if value != settings[key]}
        assert unlike <= {"rounds", "evaluate_every", "final"}


def test_every_preset_is_in_a_study() -> None:
    presets = {p.stem for p in config.PRESETS.glob("*.yaml")}
    used = {
        overrides.get("preset", name)
        for path in (*STUDIES.glob("*.yaml"), generated.CONFIG / "config.yaml")
        for name, overrides in config.read(path).protocols.items()
    }
    assert presets - used == {"clean"}  # for new work


def test_studies_with_one_federation_size_hold_data_per_client_fixed() -> None:
    for name in ("versions", "clients", "common_layers"):
        study = read(name)
        assert {study.protocol(p).partition.options["parts"] for p in study.protocols} == {40}
    assert [read("clients").protocol(p).clients for p in read("clients").protocols] == [24, 32, 40]
    assert Counter(read("versions").protocol("3_versions").client_versions()) == {"V1": 8, "V2": 8, "V3": 8}


def test_sweeps_have_the_values_of_their_protocols() -> None:
    swept = {path.stem: study.sweep for path in STUDIES.glob("*.yaml") if (study := read(path.stem)).sweep}
    assert set(swept) == {"versions", "clients", "common_layers", "horizontal"}
    for name, sweep in swept.items():
        protocols = {protocol: read(name).protocol(protocol) for protocol in sweep.levels}
        value = {
            "versions": lambda protocol: len(protocol.versions),
            "clients": lambda protocol: protocol.clients,
            "common_layers": lambda protocol: protocol.common_layers,
            "horizontal": lambda protocol: protocol.cohort_size(),
        }[name]
        assert {protocol: value(settings) for protocol, settings in protocols.items()} == sweep.levels


@pytest.mark.parametrize("family", ["vgg", "vdcnn", "resnet"])
@pytest.mark.parametrize("limit", [2, 4, 6])
def test_versions_share_as_many_layers_as_the_study_says(family: str, limit: int) -> None:
    protocol = read("common_layers").protocol(f"{limit}_common_layers")
    assert protocol.versions == ("V2", "V3", "V4")
    made = {
        strategy: planning.for_family(
            family, strategy, versions=protocol.client_versions(), common_layers=protocol.common_layers
        )
        for strategy in titles.STRATEGIES
    }
    across = [
        group for group in made["max_common"].groups if len({made["max_common"].versions[c] for c in group.clients}) > 1
    ]
    assert [group.depths[0] for group in across] == list(range(1, limit + 1))
    assert all(len(group.clients) == 24 for group in across)
    assert [group.depths[0] for group in made["basic_common"].groups] == list(range(1, limit + 1))
    assert made["max_common"].groups == made["clustered_common"].groups, "as the study's header says"
    own_version = {(g.clients, g.depths) for g in made["clustered_fl"].groups if g.depths[0] > limit}
    assert own_version < {(g.clients, g.depths) for g in made["max_common"].groups}


def test_effects_of_the_disagreement_are_one_factor_or_combine_known_ones() -> None:
    study = read("disagreement")
    default = asdict(study.protocol("base"))
    assert {effect.base for effect in study.effects} == {"base"}
    for effect in study.effects:
        changed = asdict(study.protocol(effect.protocol, final=effect.final))
        unlike = {key for key, value in changed.items() if value != default[key]} - {"evaluate_every"}
        assert len(unlike) == max(1, len(effect.combines)) or effect.level == "order of a set and batches not shuffled"
        assert (effect.factor == "pair") == bool(effect.combines)
    assert {effect.protocol for effect in study.effects} == set(study.protocols)


def test_published_numbers_of_the_reproductions_have_a_block() -> None:
    """Every row of the reproductions' Table 1 is a cell of the study."""
    study = read("reproductions")
    presets = pd.read_csv(published.FOLDER / "presets.csv").fillna("")
    ours = {
        (row.source, cell.dataset, cell.family, cell.strategy)
        for cell in study.cells()
        for row in presets.itertuples()
        if study.preset(cell.protocol) == row.preset and cell.family in (row.families.split() or [cell.family])
    }
    rows = published.table1()
    rows = rows[rows.source != published.PAPER]
    printed = set(zip(rows.source, rows.dataset, rows.family, rows.strategy, strict=True))
    assert printed <= ours


def test_reading_a_study_needs_no_torch() -> None:
    program = f"""
import sys
from pathlib import Path
sys.modules["torch"] = None
from flexifed.study import config
print(len(config.read(Path({str(STUDIES / "disagreement.yaml")!r}), Path({str(SMALL)!r})).cells()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=registry.PACKAGE.parent)
    assert done.stdout.strip() == str(CELLS["disagreement"][1]), done.stderr
