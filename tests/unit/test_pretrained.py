"""ResNet-18 that begins with a file: torchvision's numbers, and every way in which the file can be wrong."""

import copy
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from flexifed import models
from flexifed.settings import registry
from flexifed.settings.job import Job
from flexifed.settings.rng import torch_stream
from flexifed.study import config, preflight
from flexifed.system.errors import UserError
from tests.unit import federations

FAMILY = "resnet18_pretrained"
State = dict[str, Any]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def build(path: Path, *, sha256: str | None = None, seed: int = 0, **options: Any) -> nn.Module:
    options |= {"file": str(path), "sha256": sha256 or digest(path)}
    return models.build(FAMILY, "V1", (3, 64, 64), 10, options, torch_stream(seed, "test"))


def torchvisions(seed: int) -> nn.Module:
    """torchvision's model with random weights and statistics."""
    torch.manual_seed(seed)
    model = torchvision.models.resnet18()
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if "bn" in key or "downsample.1" in key:
                value.copy_(torch.rand(value.shape) + 0.5)
    return model.eval()


@pytest.fixture
def narrow() -> State:
    """A file's content that fits a model of width 1/16."""
    state: State = torch.load(federations.weight_file(federations.WIDTH, 3)["file"], weights_only=True)
    return state


def test_it_computes_what_torchvisions_model_does(tmp_path: Path) -> None:
    theirs, x = torchvisions(0), torch.randn(2, 3, 64, 64, generator=torch_stream(0, "x"))
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = build(tmp_path / "weights.pth", outputs=1000).eval()
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-5)


def test_a_fresh_head_is_of_the_seed_and_all_else_of_the_file(tmp_path: Path, narrow: State) -> None:
    torch.save(narrow, tmp_path / "weights.pth")
    first, again, other = (
        build(tmp_path / "weights.pth", seed=seed, width=federations.WIDTH).state_dict() for seed in (0, 0, 1)
    )
    assert first["fc.weight"].shape[0] == 10
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert {key for key in first if not torch.equal(first[key], other[key])} == {"fc.weight", "fc.bias"}
    assert torch.equal(first["stage3_block1.shortcut.norm.running_var"], narrow["layer3.0.downsample.1.running_var"])


def test_a_file_may_lack_the_counters_of_batches(tmp_path: Path, narrow: State) -> None:
    torch.save({key: value for key, value in narrow.items() if "num_batches" not in key}, tmp_path / "weights.pth")
    state = build(tmp_path / "weights.pth", width=federations.WIDTH).state_dict()
    assert all(value == 0 for key, value in state.items() if "num_batches" in key)


class Code:
    """What a pickle can do when it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return exec, ("import pathlib; pathlib.Path(mark).touch()", f"{{'mark': {MARK!r}}}")


MARK = "was-run"


def without(state: State) -> State:
    del state["layer2.0.bn1.weight"]
    return state


def with_another_block(state: State) -> State:
    return {**state, "layer1.2.conv1.weight": torch.zeros(4, 4, 3, 3)}


def of_one_channel(state: State) -> State:
    return {**state, "conv1.weight": state["conv1.weight"][:, :1]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without, "does not fit the model: it has no layer2.0.bn1.weight. ImageNet's weights fit images of three"),
        (with_another_block, "does not fit the model: it has layer1.2.conv1.weight, the model does not."),
        (of_one_channel, "conv1.weight is [4, 1, 7, 7] in the file and [4, 3, 7, 7] in the model."),
        (lambda state: {"state_dict": state}, "holds more than tensors by name. A file of weights is what `torch.save"),
        (lambda state: list(state.values()), "holds more than tensors by name."),
        (lambda state: {**state, "fc.bias": Code()}, "is damaged, or holds code, which is not run."),
    ],
)
def test_content_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, narrow: State, change: Callable[[State], Any], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(change(narrow), "weights.pth")
    with pytest.raises(UserError) as error:
        build(Path("weights.pth"), width=federations.WIDTH)
    assert str(error.value).startswith("weights.pth ") and expected in str(error.value)
    assert not Path(MARK).exists()


@pytest.mark.parametrize("content", [b"", b"no weights", pickle.dumps(Code(), protocol=2), b"PK\x03\x04 cut off"])
def test_bytes_that_are_no_weights(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"weights\.pth is damaged, or holds code, which is not run"):
        build(path)


def test_a_width_and_a_head_that_the_file_does_not_have(tmp_path: Path, narrow: State) -> None:
    torch.save(narrow, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"conv1\.weight is \[4, 3, 7, 7\] in the file and \[64, 3, 7, 7\] in the") as e:
        build(tmp_path / "weights.pth")
    assert str(e.value).count(" in the file and ") == 3 and "... ImageNet's" in str(e.value)
    with pytest.raises(UserError, match=r"fc\.bias is \[1000\] in the file and \[20\] in the model"):
        build(tmp_path / "weights.pth", width=federations.WIDTH, outputs=20)


# Before any job.


def study(**options: Any) -> config.Study:
    values = {
        "study": "mine",
        "blocks": [{"dataset": "digits", "families": [FAMILY]}],
        "strategies": ["standalone"],
        "seeds": [0],
        "protocols": {"short": {"preset": "clean", "clients": 4, "versions": ["V1"]}},
        "families": {FAMILY: options},
    }
    return config.parse(copy.deepcopy(values))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    return tmp_path


def looks() -> list[Callable[[config.Study], None]]:
    """The two places where a study is looked at before its first job."""
    return [
        lambda which: preflight.check(which, Path("mine.yaml")),
        lambda which: preflight.begin(which, Path("mine.yaml"), trains=True),
    ]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("look", looks())
def test_a_file_that_is_not_there_is_missed_before_any_job(look: Callable[[config.Study], None]) -> None:
    with pytest.raises(UserError) as error:
        look(study())
    file, address = "local-data/resnet18-f37072fd.pth", "https://download.pytorch.org/models/resnet18-f37072fd.pth"
    assert str(error.value) == (
        f"families.{FAMILY}.file: {file}: No such file or directory. Name the file that you have in the option `file`; "
        f"the one that is meant by default is had by `curl --location --create-dirs --output {file} {address}`."
    )


@pytest.mark.parametrize("look", looks())
def test_a_changed_file_is_refused_until_its_digest_is_said(folder: Path, look: Callable[[config.Study], None]) -> None:
    path = folder / "weights.pth"
    path.write_bytes(b"first")
    look(before := study(file="weights.pth", sha256=digest(path)))
    path.write_bytes(b"second")
    with pytest.raises(UserError, match=rf"weights\.pth is another file .* write `sha256: {digest(path)}` beside its"):
        look(before)
    look(after := study(file="weights.pth", sha256=digest(path).upper()))
    cell = before.cells()[0]
    assert not after.job(cell).is_recorded_as(before.job(cell).settings()), "another file is another cell"


@pytest.mark.usefixtures("folder")
def test_nothing_is_missed_where_every_cell_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "is_up_to_date", lambda self, path: True)
    preflight.check(study(), Path("mine.yaml"))


def test_the_default_is_the_file_that_the_address_names() -> None:
    options = registry.keywords("family", FAMILY)
    address = registry.constant("family", FAMILY, "WEIGHTS")
    assert address.endswith(f"/resnet18-{options['sha256'][:8]}.pth") and len(options["sha256"]) == 64
    assert address == torchvision.models.ResNet18_Weights.IMAGENET1K_V1.url
