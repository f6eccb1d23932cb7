"""How exact the arithmetic of training is: a setting of the study, recorded with every result.

Weights, gradients of weights, optimiser and averages are float32 in every precision.

- `float32`: IEEE single precision throughout, on every device. (PyTorch's default lets cuDNN round the factors of
  convolutions to TF32 on the GPU.)
- `tf32`: factors of convolutions and matrix products are rounded to TensorFloat-32 on GPUs that have it; the same as
  `float32` elsewhere.
- `bfloat16`: convolutions and matrix products in bfloat16 by autocast, where PyTorch deems it safe.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PRECISIONS = ("float32", "tf32", "bfloat16")


@contextmanager
def applied(precision: str) -> Iterator[None]:
    """Set what is a setting of the whole process: whether single precision may be TF32. Put back afterwards."""
    assert precision in PRECISIONS, precision
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # type: ignore[attr-defined]
    before = conv.fp32_precision, matmul.fp32_precision
    conv.fp32_precision = matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        conv.fp32_precision, matmul.fp32_precision = before


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context of a forward pass. Enter it anew in each step: it keeps converted weights until it is left."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
