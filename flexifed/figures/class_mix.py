"""The figure of a partition: each client's samples by class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from flexifed.data import partition, samples
from flexifed.data.partition import ClientSamples
from flexifed.figures.style import legend_below, save, styled


@styled
def draw(
    clients: Sequence[ClientSamples], train_labels: np.ndarray, test_labels: np.ndarray, classes: Sequence[str]
) -> Figure:
    """Each client's samples by class, training set on the left and test set on the right.

    Args:
        clients: the partition.
        train_labels: int64 [N], the class of each training sample.
        test_labels: int64 [M], the class of each test sample.
        classes: class names.
    """
    figure = Figure(figsize=(9.2, 1.55 + 0.26 * len(clients) + 0.17 * -(-len(classes) // 10)))
    panels = figure.subplots(1, 2, sharey=True)
    palette, rows = _class_colours(len(classes)), range(len(clients))
    for panel, split, labels in zip(panels, ("train", "test"), (train_labels, test_labels), strict=True):
        held = [labels[getattr(client, split)] for client in clients]
        counts = np.array([np.bincount(label, minlength=len(classes)) for label in held])
        left = np.cumsum(counts, axis=1) - counts
        for c, colour in enumerate(palette):
            panel.barh(rows, counts[:, c], left=left[:, c], color=colour, height=0.82, edgecolor="white", linewidth=0.3)
        panel.set_title({"train": "training samples", "test": "test samples"}[split])
    panels[0].set_yticks(rows, [f"client {i}" for i in rows])
    panels[0].set_ylim(len(clients) - 0.4, -0.6)
    handles: list[Artist] = [Patch(color=colour, label=name) for colour, name in zip(palette, classes, strict=True)]
    legend_below(figure, handles, 10, "classes")
    return figure


def _class_colours(n: int) -> list[Any]:
    """Distinct colours for up to ten classes; more are spaced over a colour map, in the order of the classes."""
    if n <= 10:
        return [matplotlib.colormaps["tab10"](i) for i in range(n)]
    return [matplotlib.colormaps["turbo"](i / (n - 1)) for i in range(n)]


def write(partition_file: Path, prepared: Path, stem: Path) -> None:
    """`draw` of a partition of a prepared data set."""
    train, test = (samples.read_labels(prepared, split).labels for split in samples.SPLITS)
    classes = samples.read_card(prepared)["classes"]
    held = partition.read(partition_file)
    partition.check_fits(partition_file, held, clients=len(held), n_train=len(train), n_test=len(test))
    save(draw(held, train, test, classes), stem)
