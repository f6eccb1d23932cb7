"""Every engine computes what the serial one does."""

import copy
import dataclasses
import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from flexifed import models
from flexifed.elastic import masks
from flexifed.engines import _descent, _stack, _trial, fast, serial, stacked
from flexifed.engines._channels_last import Convolution, channels_last
from flexifed.engines._recording import Direct, Function
from flexifed.settings import registry
from flexifed.settings.protocol import Optimiser
from flexifed.sharing import planning
from flexifed.sharing.layers import chain
from flexifed.training import federation, precision, weights
from flexifed.training.client import Client
from flexifed.training.engine import Federation, Steps
from flexifed.training.history import History
from tests.unit import federations

OTHERS = [registry.load("engine", name) for name in registry.names("engine") if name != "serial"]


def trained(assembled: Federation, engine: ModuleType) -> History:
    return federations.loop(assembled, engine.create(assembled))


def table(history: History, path: Path) -> pd.DataFrame:
    history.write(path)
    return pd.read_parquet(path)


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("family", registry.names("family"))
def test_a_whole_run_in_double_precision_agrees_to_rounding(tmp_path: Path, family: str, engine: ModuleType) -> None:
    """Weights within 1e-7 after three rounds of all that there is: steps, averages, both phases and both modes.

    Single precision is no test of a whole run: two rounds amplify the rounding of these narrow networks to 0.1.
    """
    found = []
    for module in (serial, engine):
        assembled = federations.in_double(federations.assemble(tmp_path, federations.job(family=family, rounds=3)))
        history = table(trained(assembled, module), tmp_path / "history.parquet")
        found.append((history, federations.numbers(assembled)))
    (reference, ours), (other, theirs) = found
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.values, b.values, rtol=0, atol=1e-7)
        assert torch.equal(a.counters, b.counters)
    pd.testing.assert_frame_equal(reference, other, rtol=0, atol=1e-6)  # losses are summed in float32 by the serial one
    accuracies = reference.metric.str.startswith("accuracy")
    assert (abs(reference.value - other.value)[accuracies] < 1e-7).all(), "the others divide in single precision"


@pytest.mark.parametrize("family", registry.names("family"))
def test_families_of_images_and_vectors_are_stacked(family: str) -> None:
    kind = registry.constant("family", family, "KIND")
    version = registry.constant("family", family, "VERSIONS")[-1]
    classes = 2 if kind == "click" else 10
    model = models.build_meta(family, version, planning.SHAPES[kind], classes, federations.family_options(family))
    assert _stack.stackable(model) == (kind in ("image", "vector"))


def test_group_normalisation_is_stacked_in_double_precision(tmp_path: Path) -> None:
    found = []
    for module in (serial, stacked):
        job = federations.job(family="resnet18", versions=("V1",), clients=3, rounds=2)
        job = dataclasses.replace(job, family_options={"width": 1 / 8, "normalisation": "group"})
        assembled = federations.in_double(federations.assemble(tmp_path, job))
        trained(assembled, module)
        found.append([numbers.values for numbers in federations.numbers(assembled)])
    for serially, together in zip(*found, strict=True):
        torch.testing.assert_close(serially, together, rtol=0, atol=1e-7)


TRAINING_KEYS: dict[str, dict[str, Any]] = {
    "momentum kept": {"optimiser": Optimiser(state="kept")},
    "test moves statistics": {"test_updates_statistics": True},
    "frozen slice": {"slice_pointer": "frozen"},
    "whole set": {"slices": 1},
    "no shuffle": {"shuffle": False},
    "own start": {"initial_weights": "per_client"},
    "local normalisation": {"normalisation": "local"},
}


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("overrides", TRAINING_KEYS.values(), ids=TRAINING_KEYS)
def test_every_key_that_concerns_training_agrees_in_double_precision(
    tmp_path: Path, engine: ModuleType, overrides: dict[str, Any]
) -> None:
    """As above, two clients of each version; and the key makes a difference, which a key that is ignored would not."""
    found = []
    for module, keys in ((serial, overrides), (engine, overrides), (engine, {})):
        assembled = federations.in_double(federations.assemble(tmp_path, federations.job(clients=8, rounds=3, **keys)))
        trained(assembled, module)
        found.append([numbers.values for numbers in federations.numbers(assembled)])
    for a, b, _ in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7)
    assert any(not torch.allclose(a, plain, rtol=0, atol=1e-5) for a, _, plain in zip(*found, strict=True))


def with_masks(assembled: Federation) -> Federation:
    """Half of every prunable weight masked, and zero from the beginning."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for version, model in assembled.models.items():
        kept = {key: torch.rand(shape, generator=generator) < 0.5 for key, shape in masks.prunable(model).items()}
        found[version] = masks.as_weights(kept, weights.layout(model, chain(model)), assembled.device)
    masked = dataclasses.replace(assembled, masks=found)
    initial = masked.server.initial

    def start(client: Client) -> weights.Weights:
        numbers, mask = initial(client), masked.mask(client.version, client.layout)
        assert mask is not None
        return dataclasses.replace(numbers, values=numbers.values * mask.values.cpu())

    masked.server.initial = start
    return masked


def masked_values(masked: Federation, client: Client, numbers: weights.Weights) -> Tensor:
    """A client's values that its mask holds, of a copy of its numbers in main memory."""
    mask = masked.mask(client.version, client.layout)
    assert mask is not None
    return numbers.values[mask.values.cpu() == 0]


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("family", registry.names("family"))
def test_masked_values_stay_zero_and_engines_agree(tmp_path: Path, family: str, engine: ModuleType) -> None:
    found = []
    job = federations.job("standalone", family=family, optimiser=Optimiser(state="kept"))
    for module in (serial, engine):
        assembled = with_masks(federations.in_double(federations.assemble(tmp_path, job)))
        before = federations.numbers(assembled)
        trained(assembled, module)
        after = federations.numbers(assembled)
        for client, first, last in zip(assembled.clients, before, after, strict=True):
            held = masked_values(assembled, client, last)
            assert len(held) and not held.any()
            assert (first.values != last.values).sum() > len(held) / 2, "what is not masked moves"
        found.append(after)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours.values, theirs.values, rtol=0, atol=1e-7)


class Push:
    """An objective that pushes every value, whatever it is."""

    def add_gradient(self, gradient: Tensor, now: Tensor, start: Tensor) -> None:
        gradient.add_(1)


@pytest.mark.parametrize("engine", [serial, *OTHERS])
def test_masks_hold_values_against_an_objective(tmp_path: Path, engine: ModuleType) -> None:
    assembled = dataclasses.replace(federations.assemble(tmp_path, federations.job("standalone")), objective=Push())
    masked = with_masks(assembled)
    for turn in federations.trained(masked, engine.create(masked)):
        assert not masked_values(masked, turn.client, turn.weights).any()


@pytest.mark.parametrize("engine", [serial, *OTHERS])
def test_masks_that_hold_nothing_change_no_bit(tmp_path: Path, engine: ModuleType) -> None:
    ends = []
    for masked in (False, True):
        assembled = federations.assemble(tmp_path, federations.job())
        nothing = {
            version: masks.as_weights({}, weights.layout(model, chain(model)), assembled.device)
            for version, model in assembled.models.items()
        }
        trained(dataclasses.replace(assembled, masks=nothing if masked else {}), engine)
        ends.append(federations.digest(assembled))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("engine", [serial, *OTHERS])
def test_kept_momentum_is_one_optimiser_for_all_rounds(tmp_path: Path, engine: ModuleType) -> None:
    """Against SGD written out: where slices do not change, two rounds are one round of twice as many epochs."""
    optimiser = Optimiser(state="kept")
    job = federations.job("standalone", slices=1, shuffle=False, optimiser=optimiser)
    assembled = federations.in_double(federations.assemble(tmp_path, job))
    client, server = assembled.clients[1], assembled.server
    model = copy.deepcopy(assembled.models[client.version]).train()
    federations.numbers(assembled)[1].put_into(model)
    velocity = federations.at_rest(model)
    trainer = engine.create(assembled)
    for round_number in (1, 2):
        federations.sgd(assembled, client, model, velocity, round_number)
        turns = server.download([client])
        trainer.train(round_number, turns)
        server.upload(turns)
        server.step()
    (turn,) = turns
    assert turn.velocity is not None
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(turn.weights.state()[name], parameter.detach(), rtol=0, atol=1e-8)
        torch.testing.assert_close(turn.velocity.state()[name], velocity[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("engine", [serial, *OTHERS])
def test_the_authors_test_in_training_mode_moves_running_statistics_and_nothing_else(
    tmp_path: Path, engine: ModuleType
) -> None:
    assembled = federations.assemble(tmp_path, federations.job(test_updates_statistics=True))
    turns = assembled.server.download(assembled.clients)
    accuracies = engine.create(assembled).test_train_mode(1, turns)
    moved = [
        {key for key, value in turn.weights.state().items() if not torch.equal(value, held.state()[key])}
        for turn, held in zip(turns, federations.numbers(assembled), strict=True)
    ]
    assert all(moved)
    assert all("running" in key or "num_batches" in key for keys in moved for key in keys)
    untouched = federations.assemble(tmp_path, federations.job())
    same = untouched.server.download(untouched.clients)
    assert accuracies == engine.create(untouched).test_train_mode(1, same), "a test sees what it always saw"


def step_of(assembled: Federation, engine: ModuleType) -> list[Tensor]:
    """By what a round of training moves each client's numbers."""
    before = federations.numbers(assembled)
    after = federations.trained(assembled, engine.create(assembled))
    return [turn.weights.values - held.values for turn, held in zip(after, before, strict=True)]


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("family", registry.names("family"))
def test_steps_in_single_precision_agree(tmp_path: Path, family: str, engine: ModuleType) -> None:
    """After one step of SGD, relative to how far the weights and statistics have moved: within 1 %."""
    moved = []
    for module in (serial, engine):
        assembled = federations.assemble(tmp_path, federations.job(family=family, local_epochs=1, slices=2))
        moved.append(step_of(assembled, module))
    for a, b in zip(*moved, strict=True):
        assert (a - b).norm() < 0.01 * a.norm()


@pytest.mark.parametrize("engine", OTHERS)
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, engine: ModuleType) -> None:
    for name in ("first", "second"):
        trained(federations.assemble(tmp_path, federations.job(rounds=2)), engine).write(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("family", registry.names("family"))
def test_bfloat16_is_near(tmp_path: Path, family: str) -> None:
    """Its numbers have 8 bits: the first step moves the weights by what it should within a fifth, and not exactly."""
    moved = []
    for name in ("float32", "bfloat16"):
        job = dataclasses.replace(federations.job(family=family, local_epochs=1, slices=2), precision=name)
        assembled = federations.assemble(tmp_path, job)
        moved.append(step_of(assembled, fast))
    for a, b in zip(*moved, strict=True):
        assert 0 < (a - b).norm() < 0.2 * a.norm()


@pytest.mark.parametrize("name", precision.PRECISIONS)
def test_tf32_is_allowed_where_it_is_asked_for_and_nowhere_else(name: str) -> None:
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = conv.fp32_precision, matmul.fp32_precision
    with precision.applied(name):
        expected = "tf32" if name == "tf32" else "ieee"
        assert (conv.fp32_precision, matmul.fp32_precision) == (expected, expected)
    assert (conv.fp32_precision, matmul.fp32_precision) == before


@pytest.mark.parametrize("places", [2, 4, 8])
@pytest.mark.parametrize(("kernel", "padding", "stride"), [(3, 1, 1), (1, 0, 1), (1, 0, 2), (3, 1, 2), (5, 0, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_convolution_is_the_same_in_every_layout(
    places: int, kernel: int, padding: int, stride: int, dtype: torch.dtype
) -> None:
    if places + 2 * padding < kernel:
        pytest.skip("the kernel is larger than the input")
    generator = torch.Generator().manual_seed(0)
    plain = nn.Conv2d(6, 5, kernel, stride, padding)
    twin = Convolution(plain)
    x = torch.randn(3, 6, places, places, generator=generator, requires_grad=True)
    with torch.autocast("cpu", dtype, enabled=dtype == torch.bfloat16):
        ours, theirs = twin(x), plain(x)
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.02, "atol": 0.02}
    torch.testing.assert_close(ours, theirs, **tolerance)
    for a, b in zip(gradients(ours, x, twin), gradients(theirs, x, plain), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance["rtol"], atol=10 * tolerance["atol"])


def gradients(y: Tensor, x: Tensor, module: nn.Module) -> tuple[Tensor, ...]:
    return torch.autograd.grad(functional.mse_loss(y.float(), torch.zeros_like(y.float())), [x, *module.parameters()])


@pytest.mark.parametrize("family", registry.names("family"))
def test_a_twin_has_the_same_names_and_as_many_numbers(tmp_path: Path, family: str) -> None:
    assembled = federations.assemble(tmp_path, federations.job(family=family))
    for model in assembled.models.values():
        ours, theirs = (weights.tensors(m) for m in (model, channels_last(model)))
        assert {k: t.numel() for k, t in ours.items()} == {k: t.numel() for k, t in theirs.items()}
        assert list(ours) == list(theirs)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("family", registry.names("family"))
def test_recorded_steps_on_a_gpu_agree_with_the_serial_engine(tmp_path: Path, family: str) -> None:
    device = torch.device("cuda")
    results = []
    for module in (serial, fast):
        job = federations.job(family=family, rounds=2)
        paths = federations.files(tmp_path, job)
        assembled = federations.in_double(federation.assemble(job, *paths.values(), device=device))
        results.append(table(trained(assembled, module), tmp_path / "history.parquet"))
    pd.testing.assert_frame_equal(*results, rtol=0, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("family", ["vgg", "charcnn"])
def test_recorded_steps_on_a_gpu_hold_masked_values(tmp_path: Path, family: str) -> None:
    job = federations.job("standalone", family=family)
    paths = federations.files(tmp_path, job)
    masked = with_masks(federation.assemble(job, *paths.values(), device=torch.device("cuda")))
    engine = fast.create(masked)
    assert engine.steps == Steps("recorded")
    federations.loop(masked, engine)
    for client, numbers in zip(masked.clients, federations.numbers(masked), strict=True):
        assert not masked_values(masked, client, numbers).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("wanted", precision.PRECISIONS)
@pytest.mark.parametrize("family", registry.names("family"))
def test_steps_are_recorded_in_every_precision(tmp_path: Path, family: str, wanted: str) -> None:
    """In single precision other kernels run than in double; one round of both engines comes to nearly the same loss."""
    losses = []
    for module, one in ((serial, "float32"), (fast, wanted)):
        job = dataclasses.replace(federations.job(family=family, rounds=1), precision=one)
        paths = federations.files(tmp_path, job)
        assembled = federation.assemble(job, *paths.values(), device=torch.device("cuda"))
        with precision.applied(one):
            engine = module.create(assembled)
            losses.append(engine.train(1, assembled.server.download(assembled.clients)))
        assert engine.steps == Steps("recorded" if module is fast else "direct")
    assert losses[1] == pytest.approx(losses[0], rel=0.1 if wanted == "bfloat16" else 0.02)


class Playback(Direct):
    """Stands in for CUDA graphs: warms up, keeps its arguments, and is played on what is copied into them."""

    def prepare(self, *arguments: Tensor) -> None:
        self.held = [argument.clone() for argument in arguments]
        for _ in range(2):
            self.function(*self.held)

    def __call__(self, *arguments: Tensor) -> None:
        for held, given in zip(self.held, arguments, strict=True):
            held.resize_(given.shape).copy_(given)
        self.function(*self.held)


def test_recorded_steps_hold_masked_values(tmp_path: Path) -> None:
    ends = []
    for record in (None, Playback):
        masked = with_masks(small(tmp_path))
        engine = fast.Fast(masked, record)
        assert engine.steps == Steps("recorded" if record else "direct")
        turns = federations.trained(masked, engine)
        assert not any(masked_values(masked, turn.client, turn.weights).any() for turn in turns)
        ends.append(torch.cat([turn.weights.values for turn in turns]))
    assert torch.equal(*ends)


class OldBatch(Playback):
    """Plays back the batch it was made with."""

    def __call__(self, *arguments: Tensor) -> None:
        self.function(*self.held)


class OldRandomNumbers(Playback):
    """Plays back the same random numbers each time."""

    def __init__(self, function: Function, generator: torch.Generator) -> None:
        super().__init__(function, generator)
        self.generator = generator

    def __call__(self, *arguments: Tensor) -> None:
        self.generator.manual_seed(0)
        super().__call__(*arguments)


def workspace_of(function: Any) -> Any:
    """Whose method it is, perhaps with an argument bound to it."""
    return getattr(function, "func", function).__self__


class SlightlyOff(Playback):
    """Its momentum grows by a hundredth too much."""

    def __call__(self, *arguments: Tensor) -> None:
        super().__call__(*arguments)
        workspace_of(self.function).velocity.values.mul_(1.01)


class NothingMoves(Playback):
    """Has left the optimiser out."""

    def __call__(self, *arguments: Tensor) -> None:
        numbers = workspace_of(self.function).model.state_dict()
        before = {key: value.clone() for key, value in numbers.items()}
        super().__call__(*arguments)
        for key, value in numbers.items():
            value.copy_(before[key])


class Impossible(Playback):
    """Cannot be recorded."""

    def prepare(self, *arguments: Tensor) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")


def small(folder: Path, **overrides: Any) -> Federation:
    """Two clients of two batches and four slices each."""
    keys = {"clients": 2, "versions": ("V1", "V2"), "batch_size": 4, "slices": 4, "local_epochs": 1}
    return federations.assemble(folder, federations.job(**{**keys, **overrides}))


def test_a_recording_that_plays_back_what_was_recorded_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = fast.Fast(small(tmp_path), Playback)
    assert engine.steps == Steps("recorded")
    assert all(isinstance(workspace.step, Playback) for workspace in engine.workspaces.values())
    assert not caplog.records


@pytest.mark.parametrize("record", [OldBatch, OldRandomNumbers, SlightlyOff, NothingMoves, Impossible])
def test_a_recording_that_is_wrong_is_found_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, record: type[Playback]
) -> None:
    engine = fast.Fast(small(tmp_path), record)
    assert engine.steps.how == "direct" and engine.steps.unlike_serial is None
    assert not any(isinstance(workspace.step, Playback) for workspace in engine.workspaces.values())
    reason = "stream is capturing" if record is Impossible else "where rounding explains"
    assert engine.steps.fell_back and reason in engine.steps.fell_back
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "steps are not recorded but run one by one" in warning.getMessage() and reason in warning.getMessage()


@pytest.mark.parametrize("overrides", [{}, {"optimiser": Optimiser(state="kept")}, {"test_updates_statistics": True}])
@pytest.mark.parametrize("record", [Playback, OldBatch])
def test_the_trial_leaves_no_trace(tmp_path: Path, record: type[Playback], overrides: dict[str, Any]) -> None:
    ends = []
    for wrap in (None, record):
        assembled = small(tmp_path, **overrides)
        before = federations.digest(assembled)
        numbers = torch.get_rng_state()
        engine = fast.Fast(assembled, wrap)
        assert federations.digest(assembled) == before
        assert torch.equal(torch.get_rng_state(), numbers)
        assert not any(velocity.values.any() for velocity in assembled.server.velocities.values())
        assert not any(held.counters.any() for held in federations.numbers(assembled))
        history = federations.loop(assembled, engine).columns()
        ends.append((federations.digest(assembled), history))
    assert ends[0] == ends[1]


def test_steps_that_are_not_the_serial_ones_are_reported_and_run_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if fused SGD got the learning rate wrong on some device."""
    plain = _descent.sgd

    def broken(*arguments: Any, **settings: Any) -> None:
        plain(*arguments, **settings | {"lr": 2 * settings["lr"]})

    monkeypatch.setattr(_descent, "sgd", broken)
    engine = fast.Fast(small(tmp_path), Playback)
    assert engine.steps.how == "recorded" and engine.steps.fell_back is None
    assert "size of the weights' change: off by" in str(engine.steps.unlike_serial)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "may not be those of the serial one" in warning.getMessage()


def test_settings_that_diverge_are_not_taken_for_a_wrong_recording(tmp_path: Path) -> None:
    engine = fast.Fast(small(tmp_path, optimiser=Optimiser(learning_rate=1e30)), OldBatch)
    assert engine.steps == Steps("recorded")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, {"steps": "direct"}),
        (Playback, {"steps": "recorded"}),
        (OldBatch, {"steps": "direct", "fell_back": "V4, training loss: off by "}),
    ],
)
def test_the_record_says_how_steps_were_run_and_is_of_the_same_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: type[Playback] | None, expected: dict[str, str]
) -> None:
    monkeypatch.setattr(fast, "create", lambda assembled: fast.Fast(assembled, record))
    job = dataclasses.replace(federations.job(batch_size=4, local_epochs=1, rounds=1), engine="fast")
    out = federations.run(tmp_path, job)
    written = json.loads((out / "run.json").read_text())
    told = {key: written[key] for key in ("steps", "fell_back", "unlike_serial") if key in written}
    assert told.keys() == expected.keys() and all(told[key].startswith(text) for key, text in expected.items())
    assert job.is_up_to_date(out / "run.json")
    for key in told:
        del written[key]
    (out / "run.json").write_text(json.dumps(written))
    assert job.is_up_to_date(out / "run.json"), "records from before have no such key"


def test_nothing_is_tried_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trial, "of_serial", None)
    assert fast.create(small(tmp_path)).steps == Steps("direct")


def test_a_test_that_moves_statistics_does_so_in_every_round(tmp_path: Path) -> None:
    """Also where accuracy is recorded in every second one alone."""
    ends = []
    for every in (1, 2):
        one = federations.job(family="resnet", test_updates_statistics=True, evaluate_every=every)
        assembled = federations.assemble(tmp_path / str(every), one)
        trained(assembled, serial)
        ends.append(federations.digest(assembled))
    assert ends[0] == ends[1]


def test_layers_lie_one_after_the_other(tmp_path: Path) -> None:
    assembled = federations.assemble(tmp_path, federations.job())
    model = assembled.models["V2"]
    layout = weights.layout(model, chain(model))
    ends = [span.stop for span in layout.spans]
    assert [span.start for span in layout.spans] == [0, *ends[:-1]]
    assert ends[-1] == layout.size
    assert all(slot.start % weights.ALIGNMENT == 0 for slot in layout.slots.values())
