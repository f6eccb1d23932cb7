"""Training loss of a whole study in one figure, a panel per block, as FedAvg's scripts draw it."""

from pathlib import Path

from flexifed.analysis import tables
from flexifed.analysis.collect import read_curves
from flexifed.figures import overview
from flexifed.figures.style import save


def write(cells: Path, table1: Path, stem: Path) -> None:
    """The mean training loss of a round's participants against rounds, from `cells.parquet` and `table1.csv`."""
    curves = read_curves(cells, phase="local", metric="train_loss")
    save(overview.draw(curves, tables.read(table1), quantity="training loss", unit=1.0), stem)
