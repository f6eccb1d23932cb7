"""Work on the samples of a data set, shared among threads in chunks.

Threads, not processes: decoding, Fourier transforms and array operations run outside of the interpreter's lock, results
need no copy, errors arrive as they were raised, and nothing is left behind when the process is killed.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from flexifed.system.progress import Progress

Item = TypeVar("Item")


@dataclass(frozen=True)
class Workers:
    """What a data set's `prepare` is given to work with.

    Attributes:
        count: Number of threads.
        progress: Called with what is done and the total, in the caller's thread.
    """

    count: int
    progress: Progress

    def fill(
        self, out: np.ndarray, items: Sequence[Item], make: Callable[[Sequence[Item]], np.ndarray], *, size: int
    ) -> None:
        """Set ``out[i]`` to what `make` gives for ``items[i]``, for all i.

        The chunks depend on `size` alone, so the result does not depend on the number of workers.

        Args:
            out: array [N, ...].
            items: N items.
            make: from n items to an array [n, ...]; called from several threads at a time.
            size: items of a chunk.

        Raises:
            Exception: what `make` raised for the first chunk that failed, in the order of the items. No chunk is begun
                after that.
        """

        def one(first: int) -> None:
            out[first : first + size] = make(items[first : first + size])

        starts = range(0, len(items), size)
        with ThreadPoolExecutor(self.count) as pool:
            chunks = [pool.submit(one, first) for first in starts]
            try:
                for first, chunk in zip(starts, chunks, strict=True):
                    chunk.result()
                    self.progress(min(first + size, len(items)), len(items))
            except BaseException:  # Ctrl-C too: the pool would otherwise work through all that is left
                pool.shutdown(wait=False, cancel_futures=True)
                raise
