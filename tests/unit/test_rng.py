"""Streams: by purpose, reproducible, independent of one another and of the global generators."""

import numpy as np
import torch

from flexifed.settings import rng


def test_a_stream_is_its_name() -> None:
    assert rng.stream(1, "local", 3, 7).integers(1 << 60) == rng.stream(1, "local", 3, 7).integers(1 << 60)


def test_other_names_are_other_streams() -> None:
    names = [(1, "local", 3, 7), (2, "local", 3, 7), (1, "order", 3, 7), (1, "local", 37), (1, "local", 7, 3)]
    assert len({int(rng.stream(*name).integers(1 << 60)) for name in names}) == len(names)


def test_known_numbers_stay() -> None:
    """A changed number here changes every result of the project."""
    assert rng.stream(0, "local", 0, 1).integers(1000, size=3).tolist() == KNOWN_NUMPY
    assert torch.randint(1000, (3,), generator=rng.torch_stream(0, "initial", "vgg", "V1")).tolist() == KNOWN_TORCH


def test_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    rng.stream(0, "x").random()
    torch.rand(2, generator=rng.torch_stream(0, "x"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


KNOWN_NUMPY = [838, 405, 510]
KNOWN_TORCH = [40, 622, 551]
