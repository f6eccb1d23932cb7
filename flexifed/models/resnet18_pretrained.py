"""ResNet-18 whose weights begin with ImageNet's, as "Practicing Federated Learning" begins: `resnet18`, from a file.

The file is in torchvision's format, by default its `ResNet18_Weights.IMAGENET1K_V1`, which are those of `WEIGHTS`. A
study names another file together with its SHA-256, so that a changed file is another cell. Inputs are normalised as the
data set's transform says, not as ImageNet's were.
"""

import io
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from flexifed.models import resnet18
from flexifed.models._blocks import initialise_defaults
from flexifed.system.errors import UserError
from flexifed.system.pinned import read_pinned

KIND = "image"
VERSIONS = ("V1",)
TITLES = ("Pretrained ResNet-18",)
ALLOWED: dict[str, tuple[object, ...]] = {"width": (0.001, 100), "outputs": (0, 100_000), "file": (), "sha256": ()}
WEIGHTS = "https://download.pytorch.org/models/resnet18-f37072fd.pth"

HEAD = ("fc.weight", "fc.bias")
COUNTER = "num_batches_tracked"  # old files lack it, and nothing computes with it


@dataclass(frozen=True)
class Beginning:
    """Where a model's weights begin.

    Attributes:
        file: in torchvision's format.
        sha256: of the file, in hex.
        with_head: whether the head is the file's, too.
    """

    file: Path
    sha256: str
    with_head: bool


class Pretrained(nn.Sequential):
    """A model that knows where its weights begin."""

    beginning: Beginning


def build(
    version: str,
    shape: tuple[int, ...],
    classes: int,
    *,
    width: float = 1.0,
    outputs: int = 0,
    file: str = "local-data/resnet18-f37072fd.pth",
    sha256: str = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
) -> nn.Module:
    """Build the model; input float [N, C, H, W], output logits [N, outputs]. The file is read by `initialise`.

    Args:
        version: "V1".
        shape: (C, H, W), with as many channels as the file's first convolution has: three in ImageNet's.
        classes: Number of outputs, unless `outputs` says otherwise.
        width: Factor on every hidden width: that of the file's model.
        outputs: 0 for a fresh head of as many outputs as there are classes; otherwise the file's own head, which must
            have so many: 1000 for the book's.
        file: In torchvision's format, from the folder in which the pipeline is started.
        sha256: Of the file, in hex. Other repositories state the default for the file at `WEIGHTS`, whose name has its
            first eight digits.

    Raises:
        UserError: the shape is not allowed.
    """
    parts = resnet18.build(version, shape, classes, width=width, outputs=outputs)
    model = Pretrained(OrderedDict(parts.named_children()))
    model.beginning = Beginning(Path(file), sha256, with_head=outputs > 0)
    return model


def initialise(model: nn.Module, generator: torch.Generator) -> None:
    """The file's numbers; a fresh head has PyTorch's defaults, and counters of batches begin at 0.

    Raises:
        UserError: the file is not there, is another one than its digest says, or does not fit the model.
    """
    assert isinstance(model, Pretrained)
    theirs = read(model.beginning)
    ours = {key: value for key, value in model.state_dict().items() if not key.endswith(COUNTER)}
    drawn = () if model.beginning.with_head else HEAD
    if wrong := list(misfits({as_torchvision(key): value for key, value in ours.items()}, theirs, drawn)):
        raise UserError(
            f"{model.beginning.file} does not fit the model: {'; '.join(wrong[:3])}{' ...' * (len(wrong) > 3)}. "
            "ImageNet's weights fit images of three channels, `width: 1` and `outputs` of 0 or 1000."
        )
    initialise_defaults(model, generator)
    with torch.no_grad():
        for key, value in ours.items():
            if key not in drawn:
                value.copy_(theirs[as_torchvision(key)])


def as_torchvision(key: str) -> str:
    """What torchvision calls an entry of the state: `stage2_block1.norm1.weight` is `layer2.0.bn1.weight` there."""
    key = re.sub(r"^stage(\d)_block(\d)", lambda found: f"layer{found[1]}.{int(found[2]) - 1}", key)
    key = key.replace("shortcut.conv", "downsample.0").replace("shortcut.norm", "downsample.1")
    return re.sub(r"\bnorm(\d)", r"bn\1", key)


def read(beginning: Beginning) -> dict[str, Tensor]:
    """The numbers of a file by torchvision's names, without counters; nothing but tensors is unpickled.

    Raises:
        UserError: the file is not there, is another one, or is no dictionary of tensors.
    """
    content = read_pinned(beginning.file, beginning.sha256, WEIGHTS)
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the bytes lead the unpickler to; its own words advise to run the code
        raise UserError(
            f"{beginning.file} is damaged, or holds code, which is not run. A file of weights is what "
            "`torch.save(model.state_dict(), file)` writes."
        ) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(
            f"{beginning.file} holds more than tensors by name. A file of weights is what "
            "`torch.save(model.state_dict(), file)` writes."
        )
    return {str(key): value for key, value in found.items() if not str(key).endswith(COUNTER)}


def misfits(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], drawn: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with a file's numbers.

    Args:
        ours: what the model has, by torchvision's names.
        theirs: what the file has.
        drawn: what is not taken from the file.
    """
    for key, value in ours.items():
        if key in drawn:
            continue
        if key not in theirs:
            yield f"it has no {key}"
        elif theirs[key].shape != value.shape:
            yield f"{key} is {list(theirs[key].shape)} in the file and {list(value.shape)} in the model"
    yield from (f"it has {key}, the model does not" for key in theirs.keys() - ours.keys())
