"""Where the clients of one version are trained and tested, one after the other, on one device.

Everything that costs time to set up is set up once for all of them: the model in the layout that suits the device, the
optimiser with its buffers, on a GPU the recorded steps. Nothing here waits for the device; results stay in tensors.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor

from flexifed.engines._channels_last import channels_last
from flexifed.engines._descent import descend
from flexifed.engines._recording import Direct, Work, Wrap
from flexifed.models import set_generator
from flexifed.settings import rng
from flexifed.training.client import Batch, Client, Samples, Turn, batches, step_size
from flexifed.training.engine import Federation
from flexifed.training.precision import autocast
from flexifed.training.weights import Layout, Weights

EVALUATION_BATCH = 500
"""Samples per forward pass in `eval()`, where the batch size does not change the result."""


class Workspace:
    """One model for all clients of a version."""

    def __init__(self, federation: Federation, client: Client, wrap: Wrap = Direct) -> None:
        """Set up for the version of `client`; its steps and tests are run as `wrap` makes them."""
        self.federation, self.version = federation, client.version
        f = federation
        self.model = channels_last(f.models[client.version])
        self.stream = torch.cuda.Stream(f.device) if f.device.type == "cuda" else None
        # On a GPU, and for recorded steps, which find them at their address, the model keeps its numbers, and clients
        # take turns in them. On a CPU it looks into the vector of the client whose turn it is.
        # So does one with embedding tables, of which every client has rows of its own.
        stays = (self.stream is not None or wrap is not Direct) and not client.layout.tables
        self.numbers = self._room(client.layout) if stays else None
        if self.numbers is not None:
            self.numbers.put_into(self.model)
        self.generator = torch.Generator(f.device)
        set_generator(self.model, self.generator)
        self.loss = torch.zeros((), device=f.device, dtype=f.server.dtype)
        self.squares = torch.zeros((), device=f.device, dtype=f.server.dtype)
        self.sums = [torch.zeros((), device=f.device, dtype=f.server.dtype) for _ in f.task.MEANS]
        self.parameters: list[Tensor] = list(self.model.parameters())
        self._fit(client.layout)
        self.draws: tuple[str, ...] = ()
        self.indices: dict[int, Tensor] = {}
        self.scores: dict[int, Tensor] = {}
        self.step = wrap(self._step, self.generator)
        # Two, since a recording knows only the mode it was made in; and samples to train on are elsewhere.
        self.test_as_is, self.test_in_train_mode = (wrap(partial(self._test, f.test), self.generator) for _ in range(2))
        self.test_on_own = wrap(partial(self._test, f.train), self.generator)

    def _fit(self, layout: Layout) -> None:
        """Make room for the momentum of weights with this layout, for those that an objective begins at; fit masks."""
        self.velocity = self._room(layout)
        self.start = self._room(layout) if self.federation.objective else None
        self.momenta: list[Tensor | None] = list(self._of_parameters(self.velocity))
        self.starts = self._of_parameters(self.start) if self.start else []
        mask = self.federation.mask(self.version, layout)
        self.masks = self._of_parameters(mask) if mask else []

    def _of_parameters(self, numbers: Weights) -> list[Tensor]:
        """The numbers of each parameter, in its shape."""
        views, tables = numbers.state(), numbers.layout.tables
        return [views[n] if n in tables else views[n].view(p.shape) for n, p in self.model.named_parameters()]

    def _room(self, layout: Layout) -> Weights:
        """Zeros on the device."""
        f = self.federation
        values = torch.zeros(layout.size, dtype=f.server.dtype, device=f.device)
        return Weights(layout, values, torch.zeros(len(layout.counters), dtype=torch.int64, device=f.device))

    def turn(self) -> AbstractContextManager[object]:
        """What work on this workspace is to be wrapped in; `join` ends it."""
        if self.stream is None:
            return nullcontext()
        self.stream.wait_stream(torch.cuda.current_stream(self.federation.device))
        return torch.cuda.stream(self.stream)

    def join(self) -> None:
        """Let what follows wait for everything that was begun here."""
        if self.stream is not None:
            torch.cuda.current_stream(self.federation.device).wait_stream(self.stream)

    def train(self, turn: Turn, round_number: int) -> Tensor:
        """One local round; returns the means of the training losses and of their squares, `[2]`."""
        f = self.federation
        steps = list(batches(turn.client, f.transform, f.protocol, f.seed, round_number, turn.number))
        return self.follow(turn, steps, round_number)

    def follow(self, turn: Turn, steps: Sequence[Batch], round_number: int) -> Tensor:
        """The steps of a local round; returns what `train` does."""
        f = self.federation
        self.draws = tuple(steps[0].draws)
        arguments = self._arguments(steps)
        self.model.train()
        for shape in {len(step[0]): step for step in arguments}.values():
            self.step.prepare(*shape)
        self._load(turn)
        if turn.weights.layout is not self.velocity.layout:
            self._fit(turn.weights.layout)
        self._load_momentum(turn)
        if self.start is not None:
            self.start.copy_(turn.weights)
        self.generator.manual_seed(rng.torch_seed(f.seed, "dropout", turn.client.id, round_number))
        self.loss.zero_()
        self.squares.zero_()
        for step in arguments:
            self.step(*step)
        self._store(turn)
        if turn.velocity is not None:
            turn.velocity.copy_(self.velocity)
        return torch.stack([self.loss, self.squares]) / sum(len(step[0]) for step in arguments)

    def _arguments(self, steps: Sequence[Batch]) -> list[tuple[Tensor, ...]]:
        """Indices and draws of every step, brought to the device in one copy each."""
        whole = [torch.cat([step.indices for step in steps])]
        whole += [torch.cat([step.draws[name] for step in steps]) for name in self.draws]
        if self.stream:
            whole = [values.pin_memory().to(self.federation.device, non_blocking=True) for values in whole]
        sizes = [len(step.indices) for step in steps]
        return list(zip(*(values.split(sizes) for values in whole), strict=True))

    def _load(self, turn: Turn) -> None:
        if self.numbers is None:
            turn.weights.put_into(self.model)
        else:
            self.numbers.copy_(turn.weights)

    def _store(self, turn: Turn) -> None:
        if self.numbers is not None:
            turn.weights.copy_(self.numbers)

    def _load_momentum(self, turn: Turn) -> None:
        """Zero is what a new optimiser would begin with."""
        if turn.velocity is None:
            self.velocity.values.zero_()
        else:
            self.velocity.copy_(turn.velocity)

    def _step(self, indices: Tensor, *draws: Tensor) -> None:
        f = self.federation
        for parameter in self.parameters:
            parameter.grad = None
        inputs = f.transform.train(f.train.inputs[indices], dict(zip(self.draws, draws, strict=True)))
        with autocast(f.precision, f.device):
            outputs = self.model(inputs)
        outputs, labels = outputs.to(self.loss.dtype), f.train.labels[indices]
        loss = f.task.loss(outputs, labels)
        loss.backward()
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        descend(self.parameters, gradients, self.momenta, f.protocol.optimiser, f.objective, self.starts, self.masks)
        self.loss += loss.detach() * len(indices)
        if f.squared_losses:
            self.squares += f.task.losses(outputs.detach(), labels).square().sum()

    def losses(self, turn: Turn) -> Tensor:
        """Mean loss on the client's training samples in `eval()`, a tensor without dimensions."""
        self.model.eval()
        self._run(self.test_on_own, turn, turn.client.train, EVALUATION_BATCH)
        return self.sums[self.federation.task.MEANS.index("loss")] / len(turn.client.train)

    def test(self, turn: Turn) -> Tensor:
        """The task's means in `eval()`, and then the samples' scores where the task wants them: one vector."""
        self.model.eval()
        scores = self._run(self.test_as_is, turn, turn.client.test, EVALUATION_BATCH)
        return torch.cat([torch.stack(self.sums) / len(turn.client.test), *scores])

    def test_train_mode(self, turn: Turn, round_number: int) -> Tensor:
        """The same with batch statistics and dropout; the client's statistics move only if the protocol says so."""
        f, n = self.federation, len(turn.client.test)
        self.model.train()
        self._load(turn)
        kept = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        scores = self._run(self.test_in_train_mode, turn, turn.client.test, step_size(f.protocol, n), round_number)
        if f.protocol.test_updates_statistics:
            self._store(turn)
        else:
            for name, buffer in self.model.named_buffers():
                buffer.copy_(kept[name])
        return torch.cat([torch.stack(self.sums) / n, *scores])

    def _run(self, test: Work, turn: Turn, wanted: np.ndarray, batch_size: int, round_number: int = 0) -> list[Tensor]:
        """Sum up the task's metrics over samples, int64 `[n]`; returns scores where the task wants them."""
        f = self.federation
        parts = self._on_device(wanted).split(batch_size)
        for part in {len(part): part for part in parts}.values():
            test.prepare(part)
        self._load(turn)
        self.generator.manual_seed(rng.torch_seed(f.seed, "evaluate", turn.client.id, round_number))
        for total in self.sums:
            total.zero_()
        scores = []
        for part in parts:
            test(part)
            if f.task.SCORES:
                scores.append(self.scores[len(part)].clone())
        return scores

    def _on_device(self, indices: np.ndarray) -> Tensor:
        """A client's indices, on the device since the first time, for a copy from main memory would wait for it.

        Clients that are tested on the whole set share one array.
        """
        key = id(indices)
        if key not in self.indices:
            self.indices[key] = torch.from_numpy(indices).to(self.federation.device)
        return self.indices[key]

    def _test(self, split: Samples, indices: Tensor) -> None:
        f = self.federation
        labels = split.labels[indices]
        with torch.no_grad(), autocast(f.precision, f.device):
            outputs = self.model(f.transform.test(split.inputs[indices])).to(self.loss.dtype)
        for total, value in zip(self.sums, f.task.sums(outputs, labels), strict=True):
            total += value
        if f.task.SCORES:
            scores = f.task.scores(outputs)
            self.scores.setdefault(len(indices), torch.empty_like(scores)).copy_(scores)
