"""From stored samples to model input, with the augmentation of training, in batches on the samples' device.

Random choices are drawn with NumPy beforehand (`draw`) and only applied by torch (`train`), so that every engine and
every device sees the same augmented samples.

Shapes: N samples, C channels, H rows and W columns (or mel bands and frames), 32 of each but in
`digits8`, L characters, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Transform(Protocol):
    """What happens to a batch of samples, one array or several by name, between the prepared arrays and the model."""

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Every random choice for `n` training samples; each array has length `n`."""
        ...

    def train(self, x: Any, draws: Mapping[str, "Tensor"]) -> Any:
        """Model input for training, as `test` gives it, after the draws of these N samples were applied."""
        ...

    def test(self, x: Any) -> Any:
        """Model input for evaluation, without augmentation: float32 [N, C, H, W] or [N, D], or int64 [N, L]."""
        ...


@lru_cache
def _per_channel(values: tuple[float, ...], device: "torch.device") -> "Tensor":
    """Constants [C, 1, 1] on a device; kept, since a copy to the GPU in each batch would wait for it."""
    import torch

    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


@dataclass(frozen=True)
class ImageTransform:
    """Random crop after zero padding, random horizontal flip, normalisation per channel (all four implementations).

    Attributes:
        mean: Mean of each channel, for pixels scaled to 0..1.
        std: Standard deviation of each channel, likewise.
        crop_padding: Black pixels added on each side before the crop.
        flip: Whether half of the training samples are mirrored.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int = 4
    flip: bool = True

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """`top`, `left`: int64 in 0..2 * crop_padding, corner of the crop; `flip`: bool."""
        corners = rng.integers(0, 2 * self.crop_padding + 1, size=(2, n))
        flip = rng.random(n) < 0.5 if self.flip else np.zeros(n, bool)
        return {"top": corners[0], "left": corners[1], "flip": flip}

    def train(self, x: "Tensor", draws: Mapping[str, "Tensor"]) -> "Tensor":
        """uint8 [N, C, H, W] to float32 [N, C, H, W]."""
        if not (self.crop_padding or self.flip):
            return self.test(x)
        import torch

        n, channels, height, width = x.shape
        padded = torch.nn.functional.pad(x, (self.crop_padding,) * 4)
        rows = torch.arange(height, device=x.device) + draws["top"][:, None]
        columns = torch.arange(width, device=x.device).expand(n, width)
        columns = torch.where(draws["flip"][:, None], width - 1 - columns, columns) + draws["left"][:, None]
        pixels = (rows[:, :, None] * padded.shape[-1] + columns[:, None, :]).view(n, 1, -1).expand(n, channels, -1)
        return self.test(padded.flatten(2).gather(2, pixels).view(x.shape))

    def test(self, x: "Tensor") -> "Tensor":
        """uint8 [N, C, H, W] to float32 [N, C, H, W]: divided by 255, less `mean`, divided by `std`, per channel."""
        mean, std = _per_channel(self.mean, x.device), _per_channel(self.std, x.device)
        return (x.float() / 255 - mean) / std


@dataclass(frozen=True)
class SpectrogramTransform:
    """Shift in time, gain, and scaling to -1..1 of log-mel spectrograms.

    After the augmentation in 2006wzt/FlexiFed-IMP, moved from the recording to the stored spectrogram (our decision):
    a shift is one of frames, filled with the floor; an amplitude factor is an offset in dB. Its time stretch by up to
    20 % is left out: on 32 frames it would be a resampling of the spectrogram, which is another augmentation.

    Attributes:
        floor: Lowest stored value in dB; the highest is 0.
        shift: Largest shift in frames, to either side, of half of the training samples.
        gain: Range of the amplitude factor of half of the training samples.
    """

    floor: float = -80.0
    shift: int = 8
    gain: tuple[float, float] = (0.7, 1.1)

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """`shift`: int64, frames to the right; `gain`: float32, dB. Both are 0 for half of the samples."""
        shift = np.where(rng.random(n) < 0.5, rng.integers(-self.shift, self.shift + 1, n), 0)
        gain = np.where(rng.random(n) < 0.5, 20 * np.log10(rng.uniform(*self.gain, n)), 0)
        return {"shift": shift, "gain": gain.astype(np.float32)}

    def train(self, x: "Tensor", draws: Mapping[str, "Tensor"]) -> "Tensor":
        """float16 [N, 1, bands, frames] to float32 of the same shape."""
        import torch

        frames = x.shape[-1]
        source = torch.arange(frames, device=x.device) - draws["shift"][:, None]
        inside = ((source >= 0) & (source < frames))[:, None, None, :]
        index = source.clamp(0, frames - 1)[:, None, None, :].expand(x.shape)
        shifted = torch.where(inside, x.float().gather(-1, index), self.floor)
        return self.test((shifted + draws["gain"][:, None, None, None]).clamp(self.floor, 0))

    def test(self, x: "Tensor") -> "Tensor":
        """float16 [N, 1, bands, frames] to float32 of the same shape; the floor becomes -1 and 0 dB becomes 1."""
        return 1 - 2 * x.float() / self.floor


@dataclass(frozen=True)
class TextTransform:
    """Characters as they are: no augmentation (paper, authors' code and reproductions)."""

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Nothing is drawn."""
        return {}

    def train(self, x: "Tensor", draws: Mapping[str, "Tensor"]) -> "Tensor":
        """int16 [N, L] code points to int64 [N, L]."""
        return x.long()

    def test(self, x: "Tensor") -> "Tensor":
        """int16 [N, L] code points to int64 [N, L]."""
        return x.long()


@dataclass(frozen=True)
class VectorTransform:
    """Numbers as they are: no augmentation."""

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Nothing is drawn."""
        return {}

    def train(self, x: "Tensor", draws: Mapping[str, "Tensor"]) -> "Tensor":
        """float32 [N, D] as it is."""
        return x.float()

    def test(self, x: "Tensor") -> "Tensor":
        """float32 [N, D] as it is."""
        return x.float()


@dataclass(frozen=True)
class ClickTransform:
    """Samples of named arrays as they are: no augmentation."""

    def draw(self, rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
        """Nothing is drawn."""
        return {}

    def train(self, x: "Mapping[str, Tensor]", draws: Mapping[str, "Tensor"]) -> "dict[str, Tensor]":
        """As `test`."""
        return self.test(x)

    def test(self, x: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
        """`dense` float32 [N, D], and `sparse` int32 [N, S] to int64 [N, S], rows of S embedding tables."""
        return {"dense": x["dense"].float(), "sparse": x["sparse"].long()}
