"""One client after the other, one step after the other: the engine that is obviously right.

Faster engines are held against this one. The authors' script works in the same order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from flexifed.models import set_generator
from flexifed.settings import rng
from flexifed.training.client import Samples, Turn, batches, step_size
from flexifed.training.engine import Evaluation, Federation, Steps, Trained, working_on
from flexifed.training.objectives import add_gradients, hold_masked

PRECISIONS = ("float32",)

EVALUATION_BATCH = 500
"""Samples per forward pass in `eval()`, where the batch size does not change the result."""


def create(federation: Federation) -> "Serial":
    """An engine for this federation."""
    return Serial(federation)


@dataclass(frozen=True)
class Serial:
    """Plain loops over participants and batches; their weights are changed in place."""

    federation: Federation
    steps: ClassVar = Steps()
    together: ClassVar = 1

    def train(self, round_number: int, turns: Sequence[Turn]) -> list[Trained]:
        """See `Engine.train`."""
        found = []
        for turn in turns:
            with working_on(turn.client):
                found.append(self._train(turn, round_number))
        return found

    def _model(self, turn: Turn) -> nn.Module:
        """The model of the client's version, with this client's weights until the next call for the version."""
        model = self.federation.models[turn.client.version]
        turn.weights.put_into(model)
        return model

    def _train(self, turn: Turn, round_number: int) -> Trained:
        f, protocol, client = self.federation, self.federation.protocol, turn.client
        model = self._model(turn)
        settings = protocol.optimiser
        optimiser = torch.optim.SGD(
            model.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        if turn.velocity is not None:
            velocity = turn.velocity.state()  # views: the optimiser changes them in place
            for name, parameter in model.named_parameters():
                optimiser.state[parameter]["momentum_buffer"] = velocity[name]
        start = [parameter.detach().clone() for parameter in model.parameters()] if f.objective else []
        mask = f.mask(client.version, client.layout)
        held = mask.state() if mask else {}
        masks = [held[name] for name, _ in model.named_parameters() if held]
        model.train()
        set_generator(model, rng.torch_stream(f.seed, "dropout", client.id, round_number, device=f.device))
        total, squares = torch.zeros((), device=f.device), torch.zeros((), device=f.device)
        n_samples = 0
        for batch in batches(client, f.transform, protocol, f.seed, round_number, turn.number):
            indices = batch.indices.to(f.device)
            draws = {name: values.to(f.device) for name, values in batch.draws.items()}
            outputs, labels = model(f.transform.train(f.train.inputs[indices], draws)), f.train.labels[indices]
            loss = f.task.loss(outputs, labels)
            optimiser.zero_grad()
            loss.backward()
            with torch.no_grad():
                gradients = [p.grad for p in model.parameters() if p.grad is not None]
                add_gradients(f.objective, gradients, list(model.parameters()), start)
                hold_masked(gradients, masks)
            optimiser.step()
            total += loss.detach() * len(indices)
            if f.squared_losses:
                squares += f.task.losses(outputs.detach(), labels).square().sum()
            n_samples += len(indices)
        return Trained(total.item() / n_samples, squares.item() / n_samples if f.squared_losses else math.nan)

    @torch.no_grad()
    def losses(self, turns: Sequence[Turn]) -> list[float]:
        """See `Engine.losses`."""
        f, found = self.federation, []
        for turn in turns:
            with working_on(turn.client):
                model = self._model(turn).eval()
                found.append(self._measure(model, f.train, turn.client.train, EVALUATION_BATCH).means["loss"])
        return found

    @torch.no_grad()
    def test(self, turns: Sequence[Turn]) -> list[Evaluation]:
        """See `Engine.test`."""
        f, evaluations = self.federation, []
        for turn in turns:
            with working_on(turn.client):
                model = self._model(turn).eval()
                evaluations.append(self._measure(model, f.test, turn.client.test, EVALUATION_BATCH))
        return evaluations

    @torch.no_grad()
    def test_train_mode(self, round_number: int, turns: Sequence[Turn]) -> list[Evaluation]:
        """See `Engine.test_train_mode`."""
        evaluations = []
        for turn in turns:
            with working_on(turn.client):
                evaluations.append(self._test_train_mode(turn, round_number))
        return evaluations

    def _test_train_mode(self, turn: Turn, round_number: int) -> Evaluation:
        f, client = self.federation, turn.client
        model = self._model(turn)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.train()
        set_generator(model, rng.torch_stream(f.seed, "evaluate", client.id, round_number, device=f.device))
        found = self._measure(model, f.test, client.test, step_size(f.protocol, len(client.test)))
        if not f.protocol.test_updates_statistics:
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        return found

    def _measure(self, model: nn.Module, split: Samples, wanted: np.ndarray, batch_size: int) -> Evaluation:
        """A model, in the mode it is in, on the samples of a split with these indices, int64 `[n]`."""
        f = self.federation
        scores = []
        sums = [torch.zeros((), device=f.device) for _ in f.task.MEANS]
        for indices in torch.from_numpy(wanted).to(f.device).split(batch_size):
            outputs: Tensor = model(f.transform.test(split.inputs[indices]))
            sums = [
                total + value for total, value in zip(sums, f.task.sums(outputs, split.labels[indices]), strict=True)
            ]
            scores.append(f.task.scores(outputs))
        means = {name: total.item() / len(wanted) for name, total in zip(f.task.MEANS, sums, strict=True)}
        return Evaluation(means, torch.cat(scores).cpu() if f.task.SCORES else None)
