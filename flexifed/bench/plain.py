"""The plain serial loop: what the reproductions of the paper run, as the baseline of every ratio.

Written from the description of the authors' script (fio1982/FlexiFed; sections "protocol table" and "aggregation rules"
of our notes, summed up in docs/decisions.md), none of its text:

- from the script: a data set whose items are transformed one by one (PIL image, random crop with padding of 4, random
  flip, `ToTensor`, `Normalize`), a `DataLoader` of batches of 64 without workers; one client after the other; a deep
  copy of the client's model for each local training and of its state for the upload; a new SGD in each round; the loss
  read back after every step; pairwise averaging (`pairwise.py`); a test in batches of 64 that reads every count back;
- from the reproductions: text as one look-up per item, without augmentation;
- kinder than the script: the test is one in `eval()` without gradients, where the script tests in training mode and
  builds the graph. That is the test that the engines are measured with.

Models, partition and protocol are this project's; contiguous float32, eager, torch's default settings. Random choices
come from torch's global generator, as torchvision's do, so nothing here can be repeated number by number.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms

from flexifed import models
from flexifed.bench import pairwise
from flexifed.data import partition, samples
from flexifed.data.partition import ClientSamples
from flexifed.data.transforms import ImageTransform
from flexifed.models import set_generator
from flexifed.settings import registry, rng
from flexifed.settings.job import Job
from flexifed.settings.protocol import Protocol
from flexifed.training.client import step_size
from flexifed.training.engine import Evaluation

Item = tuple[Tensor, int]


class Images(Dataset[Item]):
    """Images as torchvision's CIFAR-10 keeps them: bytes `[N, H, W, C]`, each made a PIL image and transformed."""

    def __init__(self, split: samples.Split, transform: transforms.Compose) -> None:
        self.pixels = np.ascontiguousarray(split.samples.transpose(0, 2, 3, 1))
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


class Texts(Dataset[Item]):
    """Texts as characters, int64 `[L]` each."""

    def __init__(self, split: samples.Split) -> None:
        self.characters = np.array(split.samples)
        self.labels = split.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Item:
        return torch.from_numpy(self.characters[index].astype(np.int64)), self.labels[index]


def create(job: Job, prepared: Path, partition_file: Path, device: torch.device) -> "Plain":
    """The plain loop for a job; the files as `federation.assemble` takes them."""
    card, versions = samples.read_card(prepared), job.protocol.client_versions()
    fleet = [
        models.build(
            job.cell.family,
            version,
            tuple(card["shape"]),
            len(card["classes"]),
            job.family_options,
            rng.torch_stream(job.cell.seed, "plain", client),  # the authors' clients start independently
        ).to(device)
        for client, version in enumerate(versions)
    ]
    train, test = _datasets(job, prepared)
    return Plain(job.protocol, fleet, partition.read(partition_file), train, test, device)


def _datasets(job: Job, prepared: Path) -> tuple[Dataset[Item], Dataset[Item]]:
    train, test = (samples.read(prepared, split) for split in samples.SPLITS)
    transform = registry.load("dataset", job.cell.dataset).TRANSFORM
    if not isinstance(transform, ImageTransform):
        return Texts(train), Texts(test)
    as_input = [transforms.ToTensor(), transforms.Normalize(transform.mean, transform.std)]
    augmentation = [transforms.RandomCrop(train.samples.shape[-1], transform.crop_padding)]
    augmentation += [transforms.RandomHorizontalFlip()] if transform.flip else []
    return Images(train, transforms.Compose(augmentation + as_input)), Images(test, transforms.Compose(as_input))


@dataclass(frozen=True)
class Plain:
    """A federation that trains as the authors' script does; in the pieces that the benchmark times."""

    protocol: Protocol
    models: list[nn.Module]
    held: Sequence[ClientSamples]
    train_set: Dataset[Item]
    test_set: Dataset[Item]
    device: torch.device

    def train(self, round_number: int) -> list[float]:
        """Train every client on its slice of this round; returns each client's mean training loss."""
        losses, uploads = [], []
        for client in range(len(self.models)):
            local = copy.deepcopy(self.models[client])
            losses.append(self._train(local, client, round_number))
            uploads.append(copy.deepcopy(local.state_dict()))
        for model, state in zip(self.models, uploads, strict=True):
            model.load_state_dict(state)
        return losses

    def _train(self, model: nn.Module, client: int, round_number: int) -> float:
        protocol, settings = self.protocol, self.protocol.optimiser
        optimiser = torch.optim.SGD(
            model.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        held = self.held[client].train
        part = np.array_split(held, protocol.slices)[(round_number - 1) % protocol.slices]
        loader = DataLoader(
            Subset(self.train_set, part.tolist()), batch_size=step_size(protocol, len(part)), shuffle=True
        )
        model.train()
        set_generator(model, rng.torch_stream(0, "plain-dropout", client, round_number, device=self.device))
        losses = []
        for _ in range(protocol.local_epochs):
            for inputs, labels in loader:
                inputs, labels = inputs.to(self.device), labels.to(self.device)
                optimiser.zero_grad()
                loss = functional.cross_entropy(model(inputs), labels)
                loss.backward()
                optimiser.step()
                losses.append(loss.item())
        return sum(losses) / len(losses)

    def aggregate(self) -> None:
        """Max-Common, pair by pair."""
        states = [model.state_dict() for model in self.models]
        averaged = pairwise.max_common(states, [pairwise.entries(model) for model in self.models])
        for model, state in zip(self.models, averaged, strict=True):
            model.load_state_dict(state)

    @torch.no_grad()
    def evaluate(self) -> list[Evaluation]:
        """Test every client's model in `eval()`."""
        return [self._evaluate(client) for client in range(len(self.models))]

    def _evaluate(self, client: int) -> Evaluation:
        held, model = self.held[client].test, self.models[client]
        loader = DataLoader(Subset(self.test_set, held.tolist()), batch_size=step_size(self.protocol, len(held)))
        model.eval()
        correct, loss = 0, 0.0
        for inputs, labels in loader:
            inputs, labels = inputs.to(self.device), labels.to(self.device)
            logits = model(inputs)
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(dim=1) == labels).sum().item())
        return Evaluation({"accuracy": correct / len(held), "loss": loss / len(held)})
