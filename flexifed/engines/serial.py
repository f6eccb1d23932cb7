"""One client after the other, one step after the other: the engine that is obviously right.

Faster engines are held against this one. The authors' script works in the same order.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed.models import set_generator
from flexifed.settings import rng
from flexifed.training import aggregation
from flexifed.training.client import Client, batches
from flexifed.training.engine import Evaluation, Federation, Steps, working_on

PRECISIONS = ("float32",)

EVALUATION_BATCH = 500
"""Samples per forward pass in `eval()`, where the batch size does not change the result."""


def create(federation: Federation) -> "Serial":
    """An engine for this federation."""
    return Serial(federation)


@dataclass(frozen=True)
class Serial:
    """Plain loops over clients and batches; the clients' weights are changed in place."""

    federation: Federation
    steps: ClassVar = Steps()

    def train(self, round_number: int) -> list[float]:
        """See `Engine.train`."""
        losses = []
        for client in self.federation.clients:
            with working_on(client):
                losses.append(self._train(client, round_number))
        return losses

    def _model(self, client: Client) -> nn.Module:
        """The model of the client's version, with this client's weights until the next call for the version."""
        model = self.federation.models[client.version]
        client.weights.put_into(model)
        return model

    def _train(self, client: Client, round_number: int) -> float:
        f, protocol = self.federation, self.federation.protocol
        model = self._model(client)
        settings = protocol.optimiser
        optimiser = torch.optim.SGD(
            model.parameters(),
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        if client.velocity is not None:
            velocity = client.velocity.state()  # views: the optimiser changes them in place
            for name, parameter in model.named_parameters():
                optimiser.state[parameter]["momentum_buffer"] = velocity[name]
        model.train()
        set_generator(model, rng.torch_stream(f.seed, "dropout", client.id, round_number, device=f.device))
        total = torch.zeros((), device=f.device)
        n_samples = 0
        for batch in batches(client, f.transform, protocol, f.seed, round_number):
            indices = batch.indices.to(f.device)
            draws = {name: values.to(f.device) for name, values in batch.draws.items()}
            logits = model(f.transform.train(f.train.inputs[indices], draws))
            loss = functional.cross_entropy(logits, f.train.labels[indices])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(indices)
            n_samples += len(indices)
        return total.item() / n_samples

    def aggregate(self) -> None:
        """See `Engine.aggregate`. Groups do not overlap, so each mean is written back before the next is formed."""
        f = self.federation
        states = [client.weights.state() for client in f.clients]  # views, no copies
        chains = [client.chain for client in f.clients]
        weights = [len(client.train) for client in f.clients] if f.protocol.averaging == "samples" else None
        for means in aggregation.averages(f.plan, chains, states, weights, f.protocol.normalisation):
            for client, tensors in means.items():
                for key, mean in tensors.items():
                    states[client][key].copy_(mean)

    @torch.no_grad()
    def evaluate(self, round_number: int, *, train_mode: bool) -> list[Evaluation]:
        """See `Engine.evaluate`."""
        evaluations = []
        for client in self.federation.clients:
            with working_on(client):
                evaluations.append(self._evaluate(client, round_number, train_mode))
        return evaluations

    def _evaluate(self, client: Client, round_number: int, train_mode: bool) -> Evaluation:
        model = self._model(client)
        model.eval()
        correct, loss = self._test(model, client, EVALUATION_BATCH)
        return Evaluation(correct, loss, self._train_mode_accuracy(model, client, round_number) if train_mode else None)

    def _train_mode_accuracy(self, model: nn.Module, client: Client, round_number: int) -> float:
        """Accuracy with batch statistics and dropout; running statistics are put back if the protocol says so."""
        f = self.federation
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        model.train()
        set_generator(model, rng.torch_stream(f.seed, "evaluate", client.id, round_number, device=f.device))
        accuracy, _ = self._test(model, client, f.protocol.batch_size)
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
