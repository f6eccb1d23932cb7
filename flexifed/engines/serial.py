"""One client after the other, one step after the other: the engine that is obviously right.

Faster engines are held against this one. The authors' script works in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed.models import set_generator
from flexifed.settings import rng
from flexifed.training.client import Client, Turn, batches, step_size
from flexifed.training.engine import Evaluation, Federation, Steps, working_on
from flexifed.training.objectives import add_gradients

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

    def train(self, round_number: int, turns: Sequence[Turn]) -> list[float]:
        """See `Engine.train`."""
        losses = []
        for turn in turns:
            with working_on(turn.client):
                losses.append(self._train(turn, round_number))
        return losses

    def _model(self, turn: Turn) -> nn.Module:
        """The model of the client's version, with this client's weights until the next call for the version."""
        model = self.federation.models[turn.client.version]
        turn.weights.put_into(model)
        return model

    def _train(self, turn: Turn, round_number: int) -> float:
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
        model.train()
        set_generator(model, rng.torch_stream(f.seed, "dropout", client.id, round_number, device=f.device))
        total = torch.zeros((), device=f.device)
        n_samples = 0
        for batch in batches(client, f.transform, protocol, f.seed, round_number, turn.number):
            indices = batch.indices.to(f.device)
            draws = {name: values.to(f.device) for name, values in batch.draws.items()}
            logits = model(f.transform.train(f.train.inputs[indices], draws))
            loss = functional.cross_entropy(logits, f.train.labels[indices])
            optimiser.zero_grad()
            loss.backward()
            if f.objective is not None:
                with torch.no_grad():
                    gradients = [p.grad for p in model.parameters() if p.grad is not None]
                    add_gradients(f.objective, gradients, list(model.parameters()), start)
            optimiser.step()
            total += loss.detach() * len(indices)
            n_samples += len(indices)
        return total.item() / n_samples

    @torch.no_grad()
    def test(self, turns: Sequence[Turn]) -> list[Evaluation]:
        """See `Engine.test`."""
        evaluations = []
        for turn in turns:
            with working_on(turn.client):
                model = self._model(turn)
                model.eval()
                evaluations.append(Evaluation(*self._test(model, turn.client, EVALUATION_BATCH)))
        return evaluations

    @torch.no_grad()
    def test_train_mode(self, round_number: int, turns: Sequence[Turn]) -> list[float]:
        """See `Engine.test_train_mode`."""
        accuracies = []
        for turn in turns:
            with working_on(turn.client):
                accuracies.append(self._test_train_mode(turn, round_number))
        return accuracies

    def _test_train_mode(self, turn: Turn, round_number: int) -> float:
        f, client = self.federation, turn.client
        model = self._model(turn)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.train()
        set_generator(model, rng.torch_stream(f.seed, "evaluate", client.id, round_number, device=f.device))
        accuracy, _ = self._test(model, client, step_size(f.protocol, len(client.test)))
        if not f.protocol.test_updates_statistics:
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        return accuracy

    def _test(self, model: nn.Module, client: Client, batch_size: int) -> tuple[float, float]:
        """Accuracy (0 .. 1) and mean loss of a model on a client's test samples, in the mode it is in."""
        f = self.federation
        correct = torch.zeros((), dtype=torch.int64, device=f.device)
        loss = torch.zeros((), device=f.device)
        for indices in torch.from_numpy(client.test).to(f.device).split(batch_size):
            labels = f.test.labels[indices]
            logits: Tensor = model(f.transform.test(f.test.inputs[indices]))
            correct += (logits.argmax(dim=1) == labels).sum()
            loss += functional.cross_entropy(logits, labels, reduction="sum")
        return correct.item() / len(client.test), loss.item() / len(client.test)
