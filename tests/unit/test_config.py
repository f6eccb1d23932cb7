"""The study's configuration: what it resolves to, and what it says when it is wrong."""

import copy
from pathlib import Path
from typing import Any

import pytest
import snakemake.utils
import yaml

from flexifed import generated
from flexifed.study import config
from flexifed.system.errors import UserError

DOCUMENT = (generated.CONFIG / "README.md").read_text()
CONFIGS = sorted(generated.CONFIG.glob("*.yaml"))

STUDY: dict[str, Any] = {
    "study": "example",
    "blocks": [{"dataset": "cifar10", "families": ["vgg", "resnet"]}, {"dataset": "agnews", "families": ["vdcnn"]}],
    "strategies": ["standalone", "max_common"],
    "seeds": [0, 1],
    "protocols": {"official": {}, "short": {"preset": "official", "rounds": 3}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The example with one value replaced, e.g. `changed("blocks.0.dataset", "cifar")`."""
    study = copy.deepcopy(STUDY)
    *parents, last = path.split(".")
    node: Any = study
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[last] = value
    return study


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_study_of_the_repository_is_valid(path: Path) -> None:
    assert config.read(path).cells()


def test_the_complete_study_of_the_documents(tmp_path: Path) -> None:
    example = next(block for block in DOCUMENT.split("```")[1:] if "\nstudy: " in block)
    (tmp_path / "mine.yaml").write_text(example.removeprefix("yaml"))
    study = config.read(tmp_path / "mine.yaml")
    assert f"= {len(study.cells())} cells" in DOCUMENT
    assert study.protocol("other_classes").rounds == study.protocol("same_classes").rounds == 10
    assert study.protocol("other_classes").partition.options == {"alpha": 0.3}


def test_the_documents_name_every_preset() -> None:
    for name in config.Study.presets():
        assert f"`{name}`" in DOCUMENT


def test_the_default_study_is_table_1() -> None:
    cells = config.read(generated.CONFIG / "config.yaml").cells()
    assert len(cells) == 120
    assert len({(c.dataset, c.family) for c in cells}) == 8
    assert {c.protocol for c in cells} == {"official"}


def test_cells_are_the_product_of_each_block() -> None:
    cells = config.parse(STUDY).cells()
    assert len(cells) == 3 * 2 * 2 * 2
    assert str(cells[0]) == "cifar10/vgg/standalone/official/seed0"


def test_a_block_may_narrow_the_grid() -> None:
    blocks = [
        {"dataset": "cifar10", "families": ["vgg"], "strategies": ["standalone"], "protocols": ["short"], "seeds": [7]}
    ]
    assert [str(c) for c in config.parse({**STUDY, "blocks": blocks}).cells()] == ["cifar10/vgg/standalone/short/seed7"]


def test_overrides_go_from_preset_to_study_to_data_set() -> None:
    values = changed("datasets.cifar10.optimiser.learning_rate", 0.1)
    values["protocols"]["short"]["optimiser"] = {"momentum": 0.5, "learning_rate": 0.2}
    study = config.parse(values)
    assert study.protocol("short").rounds == 3
    assert study.protocol("short").local_epochs == 10  # untouched default
    assert study.protocol("short").optimiser.learning_rate == 0.2
    assert study.protocol("short", "cifar10").optimiser.learning_rate == 0.1
    assert study.protocol("short", "cifar10").optimiser.momentum == 0.5


def test_another_partitioner_does_not_inherit_the_presets_options() -> None:
    study = config.parse(changed("protocols.short.partition", {"partitioner": "dirichlet"}))
    assert study.protocol("short").partition.options == {}


def test_all_protocols_win_over_each_and_data_sets_over_them() -> None:
    values = changed("all_protocols", {"rounds": 2, "optimiser": {"learning_rate": 0.3, "momentum": 0.1}})
    values["datasets"] = {"cifar10": {"optimiser": {"learning_rate": 0.1}}}
    study = config.parse(values)
    assert study.protocol("short").rounds == study.protocol("official").rounds == 2
    assert study.protocol("short").optimiser.learning_rate == 0.3
    assert study.protocol("short", "cifar10").optimiser.learning_rate == 0.1
    assert study.protocol("short", "cifar10").optimiser.momentum == 0.1


def test_options_of_a_family_are_the_studys_and_then_the_protocols() -> None:
    values = changed("families.vgg", {"width": 0.5, "dropout": "before"})
    values["protocols"]["short"]["family_options"] = {"vgg": {"dropout": "after"}, "resnet": {"initial": "xavier"}}
    study = config.parse(values)
    assert study.family_options("vgg", "official") == {"width": 0.5, "dropout": "before"}
    assert study.family_options("vgg", "short") == {"width": 0.5, "dropout": "after"}
    cell = next(c for c in study.cells() if (c.family, c.protocol) == ("vgg", "short"))
    assert study.job(cell).family_options == {"width": 0.5, "dropout": "after"}
    assert study.job(cell).settings()["family_options"] == {"width": 0.5, "dropout": "after"}
    assert "resnet" not in str(study.job(cell).settings()), "another family's options rerun nothing"


def test_a_stand_in_takes_the_place_of_a_data_set_and_runs_once() -> None:
    values = changed("stand_ins", {"cinic10": "cifar10"})
    values["blocks"].append({"dataset": "cinic10", "families": ["vgg"]})
    study = config.parse(values)
    assert study.cells() == config.parse(STUDY).cells()


def test_a_variant_is_part_of_the_name() -> None:
    assert config.parse(STUDY).name == "example"
    assert config.parse({**STUDY, "variant": "small"}).name == "example-small"


def test_overlays_merge_mappings_and_replace_lists_as_snakemake_does(tmp_path: Path) -> None:
    overlay = {"seeds": [5], "protocols": {"short": {"rounds": 4}}, "families": {"vgg": {"width": 0.5}}}
    for name, values in (("study", STUDY), ("overlay", overlay)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))
    study = config.read(tmp_path / "study.yaml", tmp_path / "overlay.yaml")
    merged = copy.deepcopy(STUDY)
    snakemake.utils.update_config(merged, overlay)
    assert study == config.parse(merged)
    assert study.protocol("short").rounds == 4
    assert study.seeds == [5]


def test_an_effect_reads_the_changed_protocol_by_its_own_rule() -> None:
    effect = {"factor": "moment", "level": "before", "protocol": "short", "base": "official"}
    study = config.parse({**STUDY, "effects": [{**effect, "final": {"phase": "local", "rule": "best"}}]})
    final = study.final(study.effects[0])
    assert (final.phase, final.rule, final.mode) == ("local", "best", "eval")
    assert study.protocol("short").final.phase == "aggregated"


def test_an_effect_may_be_of_what_an_overlay_leaves_out() -> None:
    """As of protocols that no block has: it is not measured."""
    change = {"strategies": ["standalone", "fedprox"], "datasets": ["cifar10", "cinic10"], "metrics": ["loss"]}
    effect = {"factor": "both", "level": "others", "protocol": "short", "base": "short", **change}
    study = config.parse({**STUDY, "effects": [effect]})
    assert study.effects[0].strategies == ["standalone", "fedprox"]


def test_a_sweep_has_no_value_that_no_block_runs() -> None:
    blocks = [{"dataset": "cifar10", "families": ["vgg"], "protocols": ["short"]}]
    sweep = {"over": "rounds", "levels": {"short": 3, "official": 502}}
    with pytest.raises(UserError, match=r"sweep\.levels\.official: no block of the study has this protocol"):
        config.parse({**STUDY, "blocks": blocks, "sweep": sweep})


def with_effects(**second: Any) -> list[dict[str, Any]]:
    first = {"factor": "rounds", "level": "few", "protocol": "short", "base": "official"}
    return [first, {**first, "level": "other", **second}]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "effects",
            with_effects(protocol="shrt"),
            ["effects.1.protocol: unknown protocol 'shrt'. Did you mean 'short'?"],
        ),
        ("effects", with_effects(base="oficial"), ["effects.1.base: unknown protocol 'oficial'"]),
        ("effects", with_effects(level="few"), ["effects.1.level: 'few' is the level of several effects"]),
        (
            "effects",
            with_effects(base="short", combines=["few"]),
            ["effects.1.combines.0: 'few' has the base"],
        ),
        ("effects", with_effects(combines=["fwe"]), ["effects.1.combines.0: unknown level 'fwe'. Did you mean 'few'?"]),
        ("effects", with_effects(final={"rul": "best"}), ["effects.1.final.rul: unknown key 'rul'"]),
        ("effects", with_effects(final={"phase": "local", "mode": "train"}), ["effects.1.final: the test in"]),
        ("effects", with_effects(strategies=["max_common"]), ["effects.1.strategies: expected two, that of the base"]),
        (
            "effects",
            with_effects(strategies=["standalone", "max_comon"]),
            ["effects.1.strategies.1: unknown strategy 'max_comon'. Did you mean 'max_common'?"],
        ),
        ("effects", with_effects(datasets=["cifar10", "cifar10"]), ["effects.1.datasets: expected two,"]),
        (
            "effects",
            with_effects(datasets=["cifar10", "cinic"]),
            ["effects.1.datasets.1: unknown dataset 'cinic'. Did you mean 'cinic10'?"],
        ),
        (
            "effects",
            with_effects(metrics=["accuracy", "los"]),
            ["effects.1.metrics.1: unknown metric of cifar10 'los'. Did you mean 'loss'? Known: accuracy, best_"],
        ),
        ("effects", with_effects(metrics=["loss", "loss"]), ["effects.1.metrics.1: 'loss' is named twice."]),
        (
            "effects",
            with_effects(metrics=["loss"], final={"mode": "train"}),
            ["effects.1.metrics.0: 'loss' is not recorded in training mode, in which protocol 'short' takes its final"],
        ),
        (
            "effects",
            with_effects(metrics=["loss"], final={"rule": "best"}),
            ["effects.1.metrics.0: the best round is the highest, and a lower loss is better: protocol 'short' needs"],
        ),
        (
            "effects",
            with_effects(metrics=["variance"]),
            ["effects.1.metrics.0: 'variance' needs a test of every client on its own samples: protocol 'official'"],
        ),
        (
            "sweep",
            {"over": "rounds", "levels": {"short": 3, "oficial": 502}},
            ["sweep.levels.oficial: unknown protocol 'oficial'"],
        ),
        (
            "sweep",
            {"over": "rounds", "levels": {"short": 3, "official": 3}},
            ["sweep.levels.official: 3 is the value of"],
        ),
        (
            "sweep",
            {"over": "rounds", "levels": {"short": 3}},
            ["sweep.levels: expected 2 or more entries, got {'short': 3}"],
        ),
        (
            "sweep",
            {"over": "rounds", "levels": {"short": "few", "official": 502}},
            ["sweep.levels.short: expected a number, got 'few'."],
        ),
        ("sweep", {"ovr": "rounds"}, ["sweep.ovr: unknown key 'ovr'. Did you mean 'over'?"]),
        ("all_protocols", {"rouns": 3}, ["all_protocols.rouns: unknown key 'rouns'"]),
        ("stand_ins", {"cinic": "cifar10"}, ["stand_ins.cinic: unknown dataset 'cinic'"]),
        ("stand_ins", {"cinic10": "cifar"}, ["stand_ins.cinic10: unknown dataset 'cifar'"]),
        ("stand_ins", {"cifar10": "agnews"}, ["blocks.0.families.0: ", "does not read the text samples of 'agnews'"]),
        (
            "protocols.short.slice_pointer",
            "stuck",
            ["protocols.short.slice_pointer: unknown value 'stuck'. Known: frozen, walking"],
        ),
        ("protocols.short.common_layers", -1, ["protocols.short.common_layers: expected 0 or more, got -1."]),
        (
            "protocols.short.optimiser",
            {"state": "old"},
            ["protocols.short.optimiser.state: unknown value 'old'. Known: kept, new."],
        ),
        ("protocols.short.family_options", {"vg": {}}, ["protocols.short.family_options.vg: unknown family 'vg'"]),
        (
            "protocols.short.family_options",
            {"vgg": {"drop": 1}},
            ["protocols.short.family_options.vgg.drop: unknown option of family 'vgg' 'drop'. Did you mean 'dropout'?"],
        ),
        ("protocols.short.rouns", 3, ["protocols.short.rouns: unknown key 'rouns'. Did you mean 'rounds'?"]),
        ("protocols.short.optimiser", {"lr": 1}, ["protocols.short.optimiser.lr: unknown key 'lr'.", "learning_rate"]),
        ("protocols.short.preset", "offical", ["protocols.short.preset: unknown preset 'offical'", "'official'"]),
        ("protocols.short.rounds", 0, ["protocols.short.rounds: expected 1 or more, got 0"]),
        (
            "protocols.short.final",
            {"phase": "local", "mode": "train"},
            ["protocols.short.final: the test in training"],
        ),
        ("protocols.short.clients", 6, ["protocols.short.clients: 6 clients cannot hold 4 versions"]),
        ("protocols.short.versions", ["V1", "V7"], ["protocols.short.versions.1: unknown version of", "'V7'"]),
        (
            "protocols.short.partition",
            {"partitioner": "iidd"},
            ["partition.partitioner: unknown partitioner 'iidd'", "'iid'"],
        ),
        (
            "protocols.short.partition",
            {"partitioner": "dirichlet", "options": {"alfa": 1.0}},
            ["partition.options.alfa: unknown option of partitioner 'dirichlet' 'alfa'. Did you mean 'alpha'?"],
        ),
        (
            "protocols.short.partition",
            {"partitioner": "dirichlet", "options": {"alpha": "much"}},
            ["option 'alpha' of partitioner 'dirichlet' must be a number", "got 'much'"],
        ),
        ("strategies", ["max-common"], ["strategies.0: unknown strategy 'max-common'. Did you mean 'max_common'?"]),
        ("blocks.0.dataset", "cifar", ["blocks.0.dataset: unknown dataset 'cifar'. Did you mean 'cifar10'?"]),
        ("blocks.1.families", ["vgg"], ["blocks.1.families.0: 'vgg' does not read the text samples", "charcnn, vdcnn"]),
        ("blocks.0.dataset", "movielens", ["'vgg' does not read the click samples of 'movielens'. Families that do: "]),
        (
            "blocks.0.dataset",
            "synthetic",
            ["'vgg' does not read the vector samples of 'synthetic'. Families that do: "],
        ),
        ("blocks.0.protocols", ["shrt"], ["blocks.0.protocols.0: unknown protocol 'shrt'. Did you mean 'short'?"]),
        ("blocks.0.familys", [], ["blocks.0.familys: unknown key 'familys'. Did you mean 'families'?"]),
        ("datasets.cifar10.lokal", "x", ["datasets.cifar10.lokal: unknown key 'lokal'. Did you mean 'local'?"]),
        (
            "families.vgg",
            {"widht": 0.5},
            ["families.vgg.widht: unknown option of family 'vgg' 'widht'. Did you mean 'width'?"],
        ),
        ("engine", "serail", ["engine: unknown engine 'serail'. Did you mean 'serial'?", "auto, fast, serial"]),
        ("precision", "bf16", ["precision: unknown precision of engine 'fast' 'bf16'. Did you mean 'bfloat16'?"]),
        ("blocks.0.seeds", [], ["blocks.0.seeds: expected 1 or more entries, got []."]),
        ("blocks.0.strategies", [], ["blocks.0.strategies: "]),
        ("datasets.cifar10.archives", [], ["datasets.cifar10.archives: "]),
        ("protocols.short.versions", [], ["protocols.short.versions: name each version once", "got []"]),
        ("protocols.short.versions", ["V1", "V1"], ["name each version once", "Known: V1, V2, V3, V4"]),
        ("protocols.unused", {"preset": "official", "round": 3}, ["protocols.unused.round"]),
        ("stduy", "x", ["stduy: unknown key 'stduy'. Did you mean 'study'?"]),
    ],
)
def test_a_fault_is_named_with_its_place_and_what_is_known(path: str, value: Any, expected: list[str]) -> None:
    with pytest.raises(UserError) as error:
        config.parse(changed(path, value))
    for text in expected:
        assert text in str(error.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UserError, match="seeds: this key is needed"):
        config.parse({key: value for key, value in STUDY.items() if key != "seeds"})


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(UserError, match=r"(?s)foo.*bar"):
        config.parse({**STUDY, "foo": 1, "bar": 2})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("study: [")
    with pytest.raises(UserError, match=r"broken\.yaml: not valid YAML"):
        config.read(broken)
    with pytest.raises(UserError, match=r"absent\.yaml: No such file"):
        config.read(tmp_path / "absent.yaml")


BAD = """\
study: bad name
stratgies: [max_common]
blocks:
  - dataset: cifar
    families: [vgg, resnett]
    sedes: [0]
  - dataset: agnews
    families: [vdcnn, vgg]
    protocols: [shrt]
  - families: [charcnn]
seeds: [0, true, -1]
seeds: [0, 1, -1]
protocols:
  official:
    rounds: true
    rouns: 3
    optimiser: {learning_rate: fast, momentum: 1}
  short:
    preset: offical
    clients: 6
    versions: V1
    partition: {partitioner: dirichlet, options: {alfa: 1, min_size: lots}}
all_protocols: {slice_pointer: stuck, final: {phase: local, mode: train}}
datasets:
  cifar10: {optimiser: {lr: 0.1}, options: {colour: [1]}}
families: {vgg: {width: 0}}
effects:
  - {factor: rounds, level: few, protocol: shrt, base: official, final: {rul: best}}
  - {factor: rounds, level: few, protocol: official, base: short, final: {rul: best}, combines: [fw]}
sweep: {over: rounds, levels: {official: 3, short: 3}}
checkpoint_minutes:
precision: float64
engine: fst
"""

FAULTS = """\
1: study: expected letters, digits, - and _ only, got 'bad name'.
2: stratgies: unknown key 'stratgies'. Did you mean 'strategies'? Known: all_protocols, blocks, checkpoint_minutes,
4: blocks.0.dataset: unknown dataset 'cifar'. Did you mean 'cifar10'? Known: agnews, cifar10,
5: blocks.0.families.1: unknown family 'resnett'. Did you mean 'resnet'? Known: charcnn,
6: blocks.0.sedes: unknown key 'sedes'. Did you mean 'seeds'? Known: dataset, families, protocols, seeds, strategies.
8: blocks.1.families.1: 'vgg' does not read the text samples of 'agnews'. Families that do: charcnn,
9: blocks.1.protocols.0: unknown protocol 'shrt'. Did you mean 'short'? Known: official, short.
10: blocks.2.dataset: this key is needed and not there.
12: seeds: this key is already on line 11, and YAML takes the last; keep one of them.
12: seeds.2: expected 0 or more, got -1.
15: protocols.official.rounds: expected a whole number, got true.
16: protocols.official.rouns: unknown key 'rouns'. Did you mean 'rounds'? Known: averaging, batch_size,
17: protocols.official.optimiser.learning_rate: expected a number, got 'fast'.
17: protocols.official.optimiser.momentum: expected less than 1, got 1.
19: protocols.short.preset: unknown preset 'offical'. Did you mean 'official'? Known: clean, fedscale_guide, femnist,
21: protocols.short.versions: expected a list, got 'V1'.
22: protocols.short.partition.options.alfa: unknown option of partitioner 'dirichlet' 'alfa'. Did you mean 'alpha'?
22: protocols.short.partition.options.min_size: option 'min_size' of partitioner 'dirichlet' must be a whole number
23: all_protocols.slice_pointer: unknown value 'stuck'. Known: frozen, walking, wraps_at_2500.
23: all_protocols.final: the test in training mode is recorded in phase `aggregated` only.
25: datasets.cifar10.optimiser.lr: unknown key 'lr'. Known: learning_rate, momentum, state, weight_decay.
25: datasets.cifar10.options.colour: expected a number, text, or true or false, got [1].
26: families.vgg.width: width of family 'vgg' must be between
28: effects.0.protocol: unknown protocol 'shrt'. Did you mean 'short'? Known: official, short.
28: effects.0.final.rul: unknown key 'rul'. Did you mean 'rule'? Known: clients, decimals, fraction, mode, phase,
29: effects.1.level: 'few' is the level of several effects; levels are unique.
29: effects.1.final.rul: unknown key 'rul'. Did you mean 'rule'? Known: clients, decimals, fraction, mode, phase,
29: effects.1.combines.0: unknown level 'fw'. Did you mean 'few'? Known: few.
30: sweep.levels.short: 3 is the value of several protocols; each has one of its own.
31: checkpoint_minutes: expected a number, got null.
33: engine: unknown engine 'fst'. Did you mean 'fast'? Known: auto, fast,
""".splitlines()
"""Line of the file, and how the fault begins: what else is known comes with every new plugin."""


def test_faults_of_all_kinds_are_told_at_once_in_the_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(BAD)
    with pytest.raises(UserError) as error:
        config.read(Path("bad.yaml"))
    title, *told = str(error.value).splitlines()
    assert title == f"bad.yaml: {len(FAULTS)} faults:"
    for line, fault in zip(told, FAULTS, strict=True):
        assert line.startswith(f"bad.yaml:{fault}")


def test_what_follows_from_a_fault_is_no_fault_of_its_own() -> None:
    """Six clients hold the three versions that were meant, and a protocol of that name is there."""
    values = changed("protocols.short", {"preset": "official", "clients": 6, "versions": ["V1", "V2", 3]})
    values["protocols"]["wrong"] = 5
    values["blocks"][0] |= {"protocols": ["short", "wrong"], "dataset": "cifar"}
    values["stand_ins"] = {"cifar10": "agnews"}
    with pytest.raises(UserError) as error:
        config.parse(values)
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == [
        "blocks.0.dataset",
        "protocols.short.versions.2",
        "protocols.wrong",
    ]


def test_a_mistake_is_told_once_however_many_cells_it_concerns() -> None:
    values = changed("all_protocols", {"versions": ["V1", "V9"], "optimiser": {"momentum": 2}})
    with pytest.raises(UserError) as error:
        config.parse(values)
    assert str(error.value).splitlines() == [
        "all_protocols.versions.1: unknown version of vgg 'V9'. Known: V1, V2, V3, V4.",
        "all_protocols.optimiser.momentum: expected less than 1, got 2.",
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seeds", [True]),
        ("blocks.0.seeds", [False]),
        ("checkpoint_minutes", True),
        ("sweep", {"over": "rounds", "levels": {"short": True, "official": 3}}),
        ("datasets.cifar10.archives", [{"file": "a", "urls": ["b"], "sha256": "c", "bytes": True}]),
        ("families.vgg.width", True),
        ("protocols.short.partition", {"partitioner": "dirichlet", "options": {"alpha": True}}),
        ("protocols.short.optimiser.momentum", False),
        ("datasets.cifar10.optimiser.learning_rate", True),
        *((f"protocols.short.{key}", True) for key in ("rounds", "clients", "common_layers", "evaluate_every")),
        ("protocols.short.final", {"fraction": True}),
        ("protocols.short.final", {"decimals": True}),
    ],
)
def test_a_boolean_is_no_number(path: str, value: Any) -> None:
    with pytest.raises(UserError, match=rf"{path}[a-z0-9_.]*: .*([nN]umber|Known: 2, null)"):
        config.parse(changed(path, value))


def test_a_number_with_an_exponent_is_one_although_yaml_takes_it_for_text() -> None:
    assert config.parse(changed("protocols.short.optimiser", yaml.safe_load("{learning_rate: 1e-3}")))


def test_each_fault_names_the_file_that_it_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = {**STUDY, "downloads": 5, "protocols": {"official": {"rounds": 0, "batch_size": 0}}}
    Path("base.yaml").write_text(yaml.safe_dump(base, sort_keys=False))
    over = "blocks:\n- {dataset: cifar}\nprotocols:\n  official:\n    rounds: -1\n"
    Path("over.yaml").write_text(over)
    with pytest.raises(UserError) as error:
        config.read(Path("base.yaml"), Path("over.yaml"))
    title, *told = str(error.value).splitlines()
    assert title == "base.yaml with over.yaml: 5 faults:"
    text = Path("base.yaml").read_text().splitlines()
    expected = [
        (f"base.yaml:{text.index('    batch_size: 0') + 1}", "protocols.official.batch_size"),
        (f"base.yaml:{text.index('downloads: 5') + 1}", "downloads"),
        ("over.yaml:2", "blocks.0.dataset"),
        ("over.yaml:2", "blocks.0.families"),
        ("over.yaml:5", "protocols.official.rounds"),
    ]
    assert sorted(tuple(line.split(": ")[:2]) for line in told) == sorted(expected)
    assert [line.split(":")[0] for line in told] == ["base.yaml"] * 2 + ["over.yaml"] * 3


def test_anchors_and_merged_keys_are_no_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    shared = "{official: &o {rounds: 3}, short: {<<: *o, preset: official, rounds: 4}}"
    path.write_text(yaml.safe_dump({k: v for k, v in STUDY.items() if k != "protocols"}) + f"protocols: {shared}\n")
    assert config.read(path).protocol("short").rounds == 4


@pytest.mark.parametrize("twice", ["seeds: [0]\nseeds: [1]", "families:\n  vgg: {width: 0.5}\n  'vgg': {width: 1}"])
def test_a_key_that_is_there_twice_is_refused_with_its_line(tmp_path: Path, twice: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"{twice}\n" + yaml.safe_dump({k: v for k, v in STUDY.items() if k != "seeds"}) + "seeds: [1]\n")
    with pytest.raises(UserError, match=r"study\.yaml:\d+: (seeds|families\.vgg): this key is already on line \d"):
        config.read(path)


# Budgets

ELASTIC: dict[str, Any] = {
    "study": "elastic",
    "blocks": [{"dataset": "cifar10", "families": ["resnet"]}],
    "strategies": ["elf"],
    "seeds": [0],
    "protocols": {
        "tiers": {"preset": "clean", "clients": 4, "versions": ["B1", "B2"], "budgets": {"levels": [0.5, 1]}}
    },
}


def elastic(protocol: dict[str, Any], **study: Any) -> dict[str, Any]:
    """The study with some values of its protocol and some of its own replaced."""
    return {**ELASTIC, "protocols": {"tiers": {**ELASTIC["protocols"]["tiers"], **protocol}}, **study}


def test_tiers_are_in_place_of_versions() -> None:
    protocol = config.parse(ELASTIC).protocol("tiers")
    assert protocol.client_versions() == ("B1", "B1", "B2", "B2")
    assert protocol.budgets is not None and protocol.budgets.levels == (0.5, 1.0)


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ({"budgets": {"levels": [0.25, 0.5, 1]}}, "budgets.levels: 3 levels for 2 tiers (B1, B2); give one for each."),
        ({"budgets": {"levels": [1]}}, "budgets.levels: 1 level for 2 tiers (B1, B2); give one for each."),
        (
            {"budgets": {"levels": [1, 0.5]}},
            "budgets.levels.1: levels ascend from the smallest budget to the largest; 0.5",
        ),
        (
            {"budgets": {"levels": [0.5, 0.5]}},
            "budgets.levels.1: levels ascend from the smallest budget to the largest; 0.5",
        ),
        ({"budgets": {"levels": [0.5, 1.5]}}, "budgets.levels.1: expected 1 or less, got 1.5."),
        (
            {"versions": ["B1", "V4"]},
            "versions.1: 'V4' is a version of resnet; with `budgets` these are names of tiers",
        ),
        ({"versions": ["B1", "B1"]}, "versions: name each tier once, and at least one; got ['B1', 'B1']."),
        ({"clients": 5}, "clients: 5 clients cannot be in 2 tiers in equal numbers; use a multiple of 2."),
        (
            {"budgets": {"levels": [0.5, 1], "pruning": {"between": "rewind", "rewind_epochs": 2, "epochs": 2}}},
            "budgets.pruning.rewind_epochs: rewinds to the weights after 2 of 2 epochs, which leaves none to train: ",
        ),
    ],
)
def test_budgets_that_do_not_fit(protocol: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as raised:
        config.parse(elastic(protocol))
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"protocols.tiers.{expected}")


def test_epochs_to_rewind_to_matter_only_where_pruning_rewinds() -> None:
    assert config.parse(elastic({"budgets": {"levels": [0.5, 1], "pruning": {"rewind_epochs": 9, "epochs": 2}}}))


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ({"budgets": None, "versions": ["V1", "V4"]}, "run it with protocols that have `budgets`."),
        ({"initial_weights": "per_client"}, "begin as parts of one model: use `initial_weights: per_version`."),
        ({"classifier": "all"}, "layers as it does others: use `classifier: same_architecture`."),
        ({"common_layers": 3}, "averages every layer by its place: use it without `common_layers`."),
    ],
)
def test_a_strategy_that_goes_by_place_needs_a_protocol_for_it(protocol: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as raised:
        config.parse(elastic(protocol))
    (line,) = str(raised.value).splitlines()
    assert line.startswith("strategies.0: ") and line.endswith(expected)
    assert config.parse(elastic(protocol, strategies=["max_common"]))


@pytest.mark.parametrize(
    ("dataset", "family", "strategy", "expected"),
    [
        ("cifar10", "cnn", "elf", "'elf' cuts by depth, and the versions of 'cnn' are unrelated networks"),
        ("synthetic", "logistic", "heterofl", "'heterofl' cuts by width, and 'logistic' has no option `width`"),
        ("synthetic", "logistic", "both", "'elf' cuts by depth and width, and 'logistic' has no option `width`"),
        ("cifar10", "cnn", "heterofl", None),
        ("cifar10", "cnn", "fedavg", None),
        ("synthetic", "logistic", "sparse", None),
    ],
)
def test_a_family_that_cannot_be_cut(dataset: str, family: str, strategy: str, expected: str | None) -> None:
    """Narrower members need an option, shallower ones a deepest version that they are parts of."""
    options = {
        "both": {"strategy": "elf", "cuts": "depth_and_width"},
        "sparse": {"strategy": "elf", "cuts": "depth_and_sparsity"},
    }
    blocks = [{"dataset": dataset, "families": [family]}]
    study = elastic({}, blocks=blocks, strategies=[strategy], strategy_options=options)
    if expected is None:
        assert config.parse(study)
        return
    with pytest.raises(UserError) as raised:
        config.parse(study)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"blocks.0.families.0: {expected}")


def test_models_of_tiers_are_not_kept() -> None:
    with pytest.raises(
        UserError, match=r"^keep_models: with `budgets` clients have no whole models: use `keep_models: none`"
    ):
        config.parse(elastic({}, keep_models="final"))


def test_what_stands_for_layers_stands_for_no_channels() -> None:
    options = {"wide": {"strategy": "elf", "cuts": "depth_and_width", "fill": "previous_layer"}}
    with pytest.raises(
        UserError, match=r"^strategy_options\.wide.fill: `fill: previous_layer` goes with `cuts: depth` only"
    ):
        config.parse(elastic({}, strategies=["wide"], strategy_options=options))


def test_the_study_of_the_page_on_elastic_models() -> None:
    page = (generated.ROOT / "docs/elastic.md").read_text()
    (text,) = [block.removeprefix("yaml\n") for block in page.split("```") if block.startswith("yaml\n")]
    study = config.parse(yaml.safe_load(text))
    assert len(study.cells()) == 6 * 3
    budgets = study.protocol("budgets").budgets
    assert budgets is not None and budgets.levels == (0.4, 0.6, 0.8, 1.0)
