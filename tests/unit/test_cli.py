"""The commands that need no Snakemake, run as commands."""

import importlib.metadata
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from flexifed.__main__ import _parser
from flexifed.settings import registry
from flexifed.system import provenance

STUDY = {
    "study": "tiny",
    "blocks": [{"dataset": "digits", "families": ["vgg"]}],
    "strategies": ["standalone", "max_common"],
    "seeds": [0],
    "protocols": {"tiny": {"preset": "official", "clients": 4, "rounds": 1, "slices": 40, "local_epochs": 1}},
    "families": {"vgg": {"width": 0.0625}},
}
ROOT = registry.PACKAGE.parent
CELL = ("digits", "vgg", "max_common", "tiny", "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    return tmp_path


def flexifed(folder: Path, *arguments: str, block: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; `block` names a package that must not be imported."""
    program = (
        f"import sys, runpy; sys.path.insert(0, {str(registry.PACKAGE.parent)!r});"
        f"sys.modules[{block!r}] = None if {block!r} else sys; sys.argv = ['flexifed', *{list(arguments)!r}];"
        "runpy.run_module('flexifed', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


def test_a_cell_from_nothing(folder: Path) -> None:
    done = flexifed(folder, "cell", "--config", "tiny.yaml", *CELL)
    out = folder / done.stdout.strip()
    assert (out / "history.parquet").exists()
    assert json.loads((out / "run.json").read_text())["cell"]["strategy"] == "max_common"
    assert "round 1/1" in done.stderr
    assert states(folder) == ["-", "done"]


def states(folder: Path, *overlays: str) -> list[str]:
    """What `cells` says of the two cells of the study."""
    configs = [argument for name in ("tiny.yaml", *overlays) for argument in ("--config", name)]
    return [line.split()[0] for line in flexifed(folder, "cells", *configs).stdout.splitlines()]


def test_a_cell_is_done_only_where_all_of_its_files_are_there(folder: Path) -> None:
    out = folder / flexifed(folder, "cell", "--config", "tiny.yaml", *CELL).stdout.strip()
    (folder / "keep.yaml").write_text("keep_models: final")
    assert states(folder) == ["-", "done"]
    assert states(folder, "keep.yaml") == ["-", "part"]
    job = flexifed(folder, "job", "--config", "tiny.yaml", "--config", "keep.yaml", *CELL).stdout
    (folder / "job.json").write_text(job)
    flexifed(folder, "run", "job.json")
    assert states(folder, "keep.yaml") == states(folder) == ["-", "done"]
    (out / "history.parquet").rename(out / "aside")
    assert states(folder) == ["-", "part"]
    (out / "aside").rename(out / "history.parquet")
    (out / "run.json").unlink()
    assert states(folder) == ["-", "part"]
    (out / "history.parquet").unlink()
    assert states(folder) == ["-", "-"]


def test_a_resolved_cell_runs_without_pydantic_to_the_same_bytes(folder: Path) -> None:
    (folder / "job.json").write_text(flexifed(folder, "job", "--config", "tiny.yaml", *CELL).stdout)
    first = folder / flexifed(folder, "run", "job.json", block="pydantic").stdout.strip() / "history.parquet"
    history = first.read_bytes()
    second = folder / flexifed(folder, "cell", "--config", "tiny.yaml", *CELL).stdout.strip() / "history.parquet"
    assert second.read_bytes() == history


@pytest.mark.parametrize(
    ("section", "key", "value", "expected"),
    [
        ("protocol", "clients", 5, "settings.protocol.clients: 5 clients cannot hold 4 versions in equal numbers"),
        ("protocol", "versions", ["V1", "V9"], "settings.protocol.versions.1: unknown version of vgg 'V9'"),
        ("settings", "engine", "quick", "settings.engine: unknown engine 'quick'"),
        ("settings", "precision", "float8", "settings.precision: unknown precision of engine"),
        ("cell", "strategy", "max", "cell.strategy: unknown strategy 'max'"),
        ("top", "tensorboard", "yes", "tensorboard: expected true or false, got 'yes'."),
        ("top", "keep_models", "all", "unknown keep_models 'all'. Did you mean 'final'? Known: best, final, none."),
        ("source", "options", {"x": 1}, "source.options.x: unknown option of dataset 'digits' 'x'"),
    ],
)
def test_an_edited_job_is_checked_before_it_runs(
    folder: Path, section: str, key: str, value: object, expected: str
) -> None:
    job = json.loads(flexifed(folder, "job", "--config", "tiny.yaml", *CELL).stdout)
    places = {"protocol": job["settings"]["protocol"], "top": job}
    places.get(section, job.get(section))[key] = value
    (folder / "job.json").write_text(json.dumps(job))
    assert expected in flexifed(folder, "run", "job.json", code=2).stderr
    assert not (folder / "results").exists()


def test_a_live_view_is_written_or_refused_before_anything_is_made(folder: Path) -> None:
    (folder / "live.yaml").write_text("tensorboard: true")
    configs = ("--config", "tiny.yaml", "--config", "live.yaml")
    (folder / "job.json").write_text(flexifed(folder, "job", *configs, *CELL).stdout)
    for command in (("cells", *configs), ("cell", *configs, *CELL), ("run", "job.json")):
        done = flexifed(folder, *command, block="tensorboard", code=2)
        assert "error: tensorboard: the live view needs the package `tensorboard`, which is not" in done.stderr
        assert not (folder / "results/tiny/data").exists()
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    view = folder / "results/tiny/tensorboard/digits/vgg/max_common/tiny/seed0"
    for command in (("cell", *configs, *CELL), ("run", "job.json")):
        flexifed(folder, *command)
        assert len(list(view.glob("events.*"))) == 1
        shutil.rmtree(view)
    assert states(folder) == states(folder, "live.yaml") == ["-", "done"]


def test_make_tensorboard_opens_the_folder_of_a_study() -> None:
    command = ["make", "-n", "--no-print-directory", "tensorboard", f"VENV={Path(sys.prefix)}"]
    done = subprocess.run([*command, "STUDY=quick"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("/bin/tensorboard --logdir results/quick/tensorboard\n")
    assert "give STUDY=" in subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr


def test_all_faults_of_a_study_are_told_at_once_by_every_command(folder: Path) -> None:
    wrong = {**STUDY, "seeds": [True], "protocols": {"tiny": {**STUDY["protocols"]["tiny"], "rouns": 1}}}  # type: ignore[dict-item]
    wrong["blocks"] = [{"dataset": "digit", "families": ["vgg"]}]
    (folder / "bad.yaml").write_text(yaml.safe_dump(wrong, sort_keys=False) + "strategies: [max-common]\n")
    told = flexifed(folder, "cells", "--config", "bad.yaml", code=2).stderr.splitlines()
    assert told[0] == "error: bad.yaml: 5 faults:"
    places = ["blocks.0.dataset", "seeds.0", "protocols.tiny.rouns", "strategies", "strategies.0"]
    assert [line.split(": ")[1] for line in told[1:]] == places
    command = [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "bad.yaml", "--config", "engine=fats"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    expected = "\n".join([*told[1:], "--config: engine: unknown engine 'fats'. Did you mean 'fast'? Known: "])
    assert f"The study's configuration has faults:\n{expected}" in done.stdout + done.stderr


def test_an_overlay_is_a_second_config(folder: Path) -> None:
    (folder / "small.yaml").write_text(yaml.safe_dump({"variant": "small", "seeds": [3]}))
    listed = flexifed(folder, "cells", "--config", "tiny.yaml", "--config", "small.yaml").stdout
    assert "max_common/tiny/seed3" in listed and "seed0" not in listed
    job = flexifed(folder, "job", "--config", "tiny.yaml", "--config", "small.yaml", *CELL[:4], "3").stdout
    assert json.loads(job)["study"] == "tiny-small"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`flexifed cells ... | head -0`: nobody reads by the time it writes."""
    command = [sys.executable, "-m", "flexifed", "cells", *("--config", "config/studies/disagreement.yaml")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


def make_study(*variables: str) -> str:
    """What `make study` would run."""
    command = ["make", "-n", "study", *variables, f"BIN={Path(sys.executable).parent}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_study_takes_a_study_and_its_overlays() -> None:
    """The files that it gives to Snakemake are those that it checks first."""
    files = ["config/studies/disagreement.yaml", "config/overlays/small.yaml", "config/overlays/disagreement-few.yaml"]
    commands = make_study("NAME=disagreement", "OVERLAY=small disagreement-few")
    assert commands.count(f"--configfile {' '.join(files)}") == 3
    check = commands.partition("results=$(")[2].partition(")")[0]
    assert check.endswith(" ".join(["results", *(f"--config {file}" for file in files)]))
    if not (ROOT / "local-data").exists():
        done = subprocess.run(shlex.split(check), cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 2, "make stops here"
        assert "datasets.cifar10.local: no copy of the data in local-data" in done.stderr


def test_make_study_takes_a_file_of_ones_own() -> None:
    commands = make_study("CONFIG=mine.yaml", "OVERLAY=small")
    assert commands.count("--configfile mine.yaml config/overlays/small.yaml") == 3


def test_the_installed_command_is_this_one_and_its_examples_are_right() -> None:
    """Each example of `--help` is a command line that is understood."""
    (target,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].values()
    run = f"import sys; from {target.replace(':', ' import ')}; sys.argv[:1] = ['bin/flexifed']; sys.exit(main())"
    told = subprocess.run([sys.executable, "-c", run, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.startswith("usage: flexifed ")
    examples = re.findall(r"^  flexifed (.*?)(?:  .*)?$", told.stdout, re.M)
    assert len(examples) == 4
    for example in examples:
        _parser().parse_args(shlex.split(example))


def test_a_checkout_that_is_not_installed_has_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has PyTorch and little else."""

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert _parser().parse_args(["plan", "vgg", "max_common"]).family == "vgg"
    assert provenance.own_version() == "not installed, from a checkout"


def test_make_study_without_a_study_says_what_there_is() -> None:
    done = subprocess.run(["make", "-n", "study"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "NAME=, one of" in done.stderr and "figure4" in done.stderr and "CONFIG=" in done.stderr


def test_generate_outside_a_checkout(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "flexifed", tmp_path / "flexifed", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "flexifed", "generate"]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path} is no checkout of the repository (no config/): run `generate` in one.\n"


def test_the_folder_of_a_studys_results(folder: Path) -> None:
    assert flexifed(folder, "results", "--config", "tiny.yaml").stdout == "results/tiny\n"


def test_a_plan_is_printed(folder: Path) -> None:
    text = flexifed(folder, "plan", "vgg", "max_common").stdout
    assert "V3 = VGG-16: clients 4-5" in text
    assert "2-6     conv2 .. conv6" in text


def test_the_table_of_budgets_is_printed_before_a_plan_that_needs_it(folder: Path) -> None:
    arguments = ("plan", "mlp", "heterofl", "--clients", "4", "--budgets", "0.1,1")
    text = flexifed(folder, *arguments, "--shape", "1,8,8", "--measure", "parameters").stdout
    table, plan = text.split("\n\nheterofl for mlp, by place in MLP-5, channels: the first ones\n")
    assert table.startswith("MLP-5 takes 135,610 parameters. Of this a tier can afford, and takes:\n\ncut by depth\n")
    assert "cut by width\n  B1   0.1      0.0787   MLP-5 at width 0.25\n  B2   1        1        MLP-5\n" in table
    assert "B1 = MLP-5 at width 0.25, " in plan and plan.endswith("averaged by clients 0-3\n")
    cut = flexifed(folder, "plan", "vgg", "elf", "--budgets", "0.5,1", "--cuts", "depth_and_width").stdout
    assert "B1 = VGG-19 at width 0.6875, 0.47 of the largest's multiply-adds: clients 0-3" in cut


def test_how_many_clients_to_test(folder: Path) -> None:
    """As docs/devices.md has it; with a smaller deviation, a wider spread or more confidence they are more."""
    few = ("clients-to-test", "--clients", "290", "--deviation", "0.05")
    said = flexifed(folder, *few).stdout
    assert f"python -m flexifed {' '.join(few)}\n```\n\n    {said}" in (ROOT / "docs/devices.md").read_text()
    surer = flexifed(folder, *few, "--confidence", "0.975").stdout
    assert "Test 209 of the 290 clients, drawn at random: with a confidence of at least 0.975" in surer
    assert "Test 260 of" in flexifed(folder, *few, "--spread", "2").stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("plan", "vgg", "max-common"), "unknown strategy 'max-common'. Did you mean 'max_common'?"),
        (("plan", "vgg", "max_common", "--clients", "6"), "--clients 6: use a multiple of 4"),
        (("plan", "vgg", "elf"), "'elf' cuts members of a family to what clients can afford: say how much, e.g. with"),
        (("plan", "vgg", "elf", "--budgets", "0.5,0.7,1"), "--clients 8: use a multiple of 3, the number of budgets"),
        (("plan", "vgg", "elf", "--budgets", "1,0.5"), "from the smallest budget to the largest; 0.5 follows 1"),
        (("plan", "vgg", "elf", "--budgets", "0.1,1"), "the smallest member, VGG-11, takes 0.412"),
        (("plan", "cnn", "elf", "--budgets", "0.5,1"), "'elf' cuts by depth, and the versions of 'cnn' are unrelated"),
        (("plan", "vgg", "elf", "--budgets", "0.5,1", "--cuts", "dept"), "Did you mean 'depth'?"),
        (("cell", "--config", "tiny.yaml", "digits", "resnet", *CELL[2:]), "unknown family in tiny.yaml: 'resnet'"),
        (("cells", "--config", "absent.yaml"), "absent.yaml: No such file or directory"),
        (("clients-to-test", "--clients", "9", "--deviation", "0"), "deviation 0 and spread 1 must be above 0"),
        (("unpack", "absent", "out"), "absent is not a folder"),
        (("run", "tiny.yaml"), "tiny.yaml: not a job that `python -m flexifed job` printed"),
    ],
)
def test_a_mistake_is_an_error_and_not_a_traceback(folder: Path, arguments: tuple[str, ...], expected: str) -> None:
    done = flexifed(folder, *arguments, code=2)
    assert done.stderr.startswith("error: ")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("cell", "--device", "gpu", *CELL), "argument --device: 'gpu': use cpu, cuda or cuda:N"),
        (("cell", "--device", "cuda:99", *CELL), "'cuda:99': PyTorch can use "),
        (("plan", "vgg", "elf", "--budgets", "0,1"), "argument --budgets: '0,1' is not a list of shares above 0"),
        (("plan", "vgg", "elf", "--shape", "3,x"), "argument --shape: 'x' is not a whole number of 1 or more"),
        (("reference", "--jobs", "0"), "argument --jobs: '0' is not a whole number of 1 or more"),
        (("reference", "--minutes", "-1"), "argument --minutes: '-1' is not a number of 0 or more"),
        (("pack", "--mib", "0", "digits", "pieces"), "argument --mib: '0' is not a whole number of 1 or more"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_argument(
    folder: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in flexifed(folder, *arguments, code=2).stderr


def test_results_of_other_settings_are_listed_as_stale(folder: Path) -> None:
    flexifed(folder, "cell", "--config", "tiny.yaml", *CELL)
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**STUDY, "families": {"vgg": {"width": 0.125}}}))
    assert states(folder) == ["-", "stale"]
