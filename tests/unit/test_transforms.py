"""Transforms, against small examples worked by hand."""

import numpy as np
import pytest
import torch

from flexifed.data.transforms import (
    ClickTransform,
    ImageTransform,
    SpectrogramTransform,
    TextTransform,
    Transform,
    VectorTransform,
)
from flexifed.settings.rng import stream

IMAGE = ImageTransform(mean=(0.5,), std=(0.25,), crop_padding=1)
AUDIO = SpectrogramTransform()


def tensors(**draws: list[float]) -> dict[str, torch.Tensor]:
    return {key: torch.tensor(values) for key, values in draws.items()}


def test_image_scaling() -> None:
    x = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    assert IMAGE.test(x).flatten().tolist() == pytest.approx([(0 - 0.5) / 0.25, (0.2 - 0.5) / 0.25, (1 - 0.5) / 0.25])


def test_channels_have_their_own_constants() -> None:
    transform = ImageTransform(mean=(0.0, 0.5), std=(1.0, 0.5))
    assert transform.test(torch.full((1, 2, 1, 1), 255, dtype=torch.uint8)).flatten().tolist() == [1, 1]
    assert transform.test(torch.zeros((1, 2, 1, 1), dtype=torch.uint8)).flatten().tolist() == [0, -1]


@pytest.mark.parametrize(
    ("top", "left", "flip", "expected"),
    [
        (1, 1, False, [[1, 2], [3, 4]]),
        (1, 1, True, [[2, 1], [4, 3]]),
        (0, 0, False, [[0, 0], [0, 1]]),
        (2, 1, False, [[3, 4], [0, 0]]),
        (1, 2, True, [[0, 2], [0, 4]]),
    ],
)
def test_crop_and_flip(top: int, left: int, flip: bool, expected: list[list[int]]) -> None:
    x = torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8).view(1, 1, 2, 2)
    identity = ImageTransform(mean=(0.0,), std=(1 / 255,), crop_padding=1)
    out = identity.train(x, tensors(top=[top], left=[left], flip=[flip]))
    assert out[0, 0].round().int().tolist() == expected


@pytest.mark.parametrize("flip", [False, True])
def test_without_a_crop_images_are_flipped_or_left_alone(flip: bool) -> None:
    transform = ImageTransform(mean=(0.1,), std=(0.4,), crop_padding=0, flip=flip)
    x = torch.arange(40 * 4, dtype=torch.uint8).view(40, 1, 2, 2)
    draws = transform.draw(stream(0, "test"), 40)
    out = transform.train(x, {key: torch.from_numpy(values) for key, values in draws.items()})
    flipped = [torch.equal(out[i], transform.test(x[i].flip(-1))) for i in range(40)]
    assert flipped == draws["flip"].tolist() and any(flipped) == flip
    assert all(torch.equal(out[i], transform.test(x[i])) for i in range(40) if not flipped[i])


def test_each_image_gets_its_own_crop() -> None:
    """As cropping one by one with slices."""
    transform = ImageTransform(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    x = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    draws = transform.draw(stream(0, "test"), 6)
    out = transform.train(x, {key: torch.from_numpy(values) for key, values in draws.items()})
    for i in range(6):
        padded = torch.nn.functional.pad(x[i], (4, 4, 4, 4))
        crop = padded[:, draws["top"][i] : draws["top"][i] + 32, draws["left"][i] : draws["left"][i] + 32]
        assert torch.equal(out[i], transform.test(crop.flip(-1) if draws["flip"][i] else crop))


def test_image_draws_cover_their_range() -> None:
    draws = ImageTransform(mean=(0.0,), std=(1.0,)).draw(stream(0, "test"), 2000)
    assert set(draws["top"].tolist()) == set(draws["left"].tolist()) == set(range(9))
    assert 0.45 < draws["flip"].mean() < 0.55
    assert not ImageTransform(mean=(0.0,), std=(1.0,), flip=False).draw(stream(0, "test"), 100)["flip"].any()


def test_spectrogram_scaling() -> None:
    x = torch.tensor([-80.0, -40.0, 0.0], dtype=torch.float16).view(1, 1, 1, 3)
    assert AUDIO.test(x).flatten().tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("shift", "gain", "expected"),
    [
        (0, 0.0, [-40, -20, 0]),
        (1, 0.0, [-80, -40, -20]),
        (-2, 0.0, [0, -80, -80]),
        (0, -30.0, [-70, -50, -30]),
        (1, 10.0, [-70, -30, -10]),
        (0, 10.0, [-30, -10, 0]),
    ],
)
def test_shift_and_gain(shift: int, gain: float, expected: list[float]) -> None:
    x = torch.tensor([-40.0, -20.0, 0.0], dtype=torch.float16).view(1, 1, 1, 3)
    out = AUDIO.train(x, tensors(shift=[shift], gain=[gain]))
    assert (40 * (out.flatten() - 1)).tolist() == pytest.approx(expected)


def test_spectrogram_draws() -> None:
    draws = AUDIO.draw(stream(0, "test"), 4000)
    assert set(draws["shift"].tolist()) == set(range(-8, 9))
    # A half is not chosen to be shifted, and a seventeenth of the others draws 0.
    assert (draws["shift"] == 0).mean() == pytest.approx(0.5 + 0.5 / 17, abs=0.03)
    assert (draws["gain"] == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert draws["gain"].min() >= 20 * np.log10(0.7) and draws["gain"].max() <= 20 * np.log10(1.1)


def test_text_is_left_as_it_is() -> None:
    x = torch.tensor([[97, 0], [1, 32767]], dtype=torch.int16)
    for out in (TextTransform().train(x, {}), TextTransform().test(x)):
        assert out.dtype == torch.int64 and out.tolist() == [[97, 0], [1, 32767]]


def test_vectors_are_left_as_they_are() -> None:
    x = torch.tensor([[1.5, -2.0]])
    for out in (VectorTransform().train(x, {}), VectorTransform().test(x)):
        assert out.dtype == torch.float32 and torch.equal(out, x)


def test_named_arrays_are_left_as_they_are() -> None:
    x = {"dense": torch.tensor([[0.5, -1]]), "sparse": torch.tensor([[7, 0]], dtype=torch.int32)}
    for out in (ClickTransform().train(x, {}), ClickTransform().test(x)):
        assert torch.equal(out["dense"], x["dense"])
        assert out["sparse"].dtype == torch.int64 and out["sparse"].tolist() == [[7, 0]]


@pytest.mark.parametrize("transform", [IMAGE, AUDIO, TextTransform(), VectorTransform()])
def test_draws_depend_on_the_stream_alone(transform: Transform) -> None:
    one, two, other = (transform.draw(stream(seed, "test"), 50) for seed in (0, 0, 1))
    assert all(np.array_equal(one[key], two[key]) for key in one)
    assert not one or any(not np.array_equal(one[key], other[key]) for key in one)


def test_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    draws = {key: torch.from_numpy(values) for key, values in IMAGE.draw(stream(0, "test"), 4).items()}
    IMAGE.train(torch.zeros((4, 1, 32, 32), dtype=torch.uint8), draws)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
