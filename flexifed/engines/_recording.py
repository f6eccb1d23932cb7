"""Work that is run as it is, or on a GPU recorded once and played back: one launch for a step of SGD, not hundreds."""

from collections.abc import Callable
from typing import Protocol as Interface

import torch
from torch import Tensor

from flexifed.system.errors import UserError

WARM_UP = 3
"""Runs before recording: libraries choose their kernels, the optimiser makes its state (PyTorch's own advice)."""

Function = Callable[..., None]
Shapes = tuple[torch.Size, ...]


class Work(Interface):
    """A function of tensors that leaves its results in tensors that it knows."""

    def prepare(self, *arguments: Tensor) -> None:
        """Get ready for arguments of these shapes. May run the function, and so change whatever it changes."""
        ...

    def __call__(self, *arguments: Tensor) -> None:
        """Run the function on arguments of prepared shapes."""
        ...


Wrap = Callable[[Function, torch.Generator], Work]
"""Makes work of a function and the generator on its device, the only one that it may draw from."""


class Direct:
    """The function as it is."""

    def __init__(self, function: Function, generator: torch.Generator) -> None:
        self.function = function

    def prepare(self, *arguments: Tensor) -> None:
        """See `Work`."""

    def __call__(self, *arguments: Tensor) -> None:
        """See `Work`."""
        self.function(*arguments)


class Recorded:
    """The function as CUDA graphs, one for each combination of shapes, on the stream that is current.

    The function must not wait for the device, and depend on nothing but the values behind the same addresses.
    """

    def __init__(self, function: Function, generator: torch.Generator) -> None:
        self.function = function
        self.generator = generator
        self.pool = torch.cuda.graph_pool_handle()  # one for all: they never run at the same time
        self.graphs: dict[Shapes, tuple[torch.cuda.CUDAGraph, list[Tensor]]] = {}

    def prepare(self, *arguments: Tensor) -> None:
        """See `Work`.

        Raises:
            UserError: the function cannot be recorded. The generator and the memory pool are then in a state that
                PyTorch does not promise anything about, so there is no going on with them.
        """
        shapes = _shapes(arguments)
        if shapes in self.graphs:
            return
        inputs = [argument.clone() for argument in arguments]
        for _ in range(WARM_UP):
            self.function(*inputs)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        try:
            with torch.cuda.graph(graph, pool=self.pool, stream=torch.cuda.current_stream()):
                self.function(*inputs)
        except RuntimeError as error:
            raise UserError(
                f"a step could not be recorded as a CUDA graph ({error}); where this ends a run, set "
                "`engine: serial` in the study."
            ) from error
        self.graphs[shapes] = graph, inputs

    def __call__(self, *arguments: Tensor) -> None:
        """See `Work`."""
        graph, inputs = self.graphs[_shapes(arguments)]
        for held, given in zip(inputs, arguments, strict=True):
            held.copy_(given, non_blocking=True)
        graph.replay()


def _shapes(arguments: tuple[Tensor, ...]) -> Shapes:
    return tuple(argument.shape for argument in arguments)
