"""Random streams named by purpose: nothing in this package reads or sets a global generator.

A stream depends on the seed and on its name alone, so adding a client, a strategy or a round changes no other stream.
"""

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _key(seed: int, purpose: str, parts: tuple[str | int, ...]) -> bytes:
    return sha256("/".join(map(str, (seed, purpose, *parts))).encode()).digest()


def stream(seed: int, purpose: str, *parts: str | int) -> np.random.Generator:
    """A NumPy generator for one purpose, e.g. ``stream(seed, "local", client, round)``."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_key(seed, purpose, parts)[:16], "little")))


def torch_stream(seed: int, purpose: str, *parts: str | int, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """A torch generator for one purpose; on the CPU the same name gives the same numbers on every machine."""
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(torch_seed(seed, purpose, *parts))
    return generator


def torch_seed(seed: int, purpose: str, *parts: str | int) -> int:
    """What `torch_stream` seeds its generator with, for a generator that exists already."""
    return int.from_bytes(_key(seed, purpose, parts)[:8], "little") >> 1
