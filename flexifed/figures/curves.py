"""What the figures of curves have in common: lines with bands over seeds, against rounds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.special import stdtrit


def seed_counts(curves: pd.DataFrame) -> set[int]:
    """How many seeds the strategies of these curves have."""
    return set(curves.groupby("strategy", observed=True)["seed"].nunique().tolist())


def rounds_axis(panel: Axes) -> None:
    """Whole rounds along a panel with a grid."""
    panel.grid(True)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.tick_params(labelbottom=True)


def band_text(counts: set[int], what: str = "block", of: str = "the clients of the version") -> str:
    """What a line (a mean over `of` and the seeds) and its band are, for lines of so many seeds."""
    if not counts:
        return f"missing: no run of this {what} is there"
    if len(counts) > 1:
        band = "95 % Student t interval over three seeds or more, range of two, none of one"
        return f"line: mean over {of} and {min(counts)} to {max(counts)} seeds; band: {band}"
    (n_seeds,) = counts
    if n_seeds == 1:
        return f"line: mean over {of}, one seed"
    band = "range of the two seeds" if n_seeds == 2 else "95 % Student t interval over the seeds"
    return f"line: mean over {of} and {n_seeds} seeds; band: {band}"


def over_versions(curves: pd.DataFrame, unit: float) -> pd.DataFrame:
    """The mean over the versions of one block's curves, whose values are the means over their clients.

    Args:
        curves: rows of `cells.parquet` of one metric and phase.
        unit: what the values are divided by.

    Returns:
        A row for each strategy and round, a column for each seed.
    """
    line = ["strategy", "seed", "round"]
    versions = curves.groupby([*line, "version"], observed=True)["value"].mean()
    return versions.groupby(line, observed=True).mean().unstack("seed") / unit


def band(per_seed: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Mean over the columns, which are seeds, and the lower and upper edge of its band, if there are seeds for one."""
    values = per_seed.dropna(axis=1, how="all").to_numpy()
    n_seeds, mean = values.shape[1], np.nanmean(values, axis=1)
    if n_seeds == 2:
        return mean, np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    if n_seeds < 2:
        return mean, None, None
    n = np.sum(~np.isnan(values), axis=1)
    half = stdtrit(n - 1, 0.975) * np.nanstd(values, axis=1, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def curve(panel: Axes, per_seed: pd.DataFrame, colour: str) -> None:
    """A line (mean over the columns, which are seeds) and its band, if there are seeds for one."""
    rounds = per_seed.index.to_numpy()
    mean, low, high = band(per_seed)
    panel.plot(rounds, mean, color=colour, linewidth=1.5, marker="o" if len(rounds) == 1 else None)
    if low is None or high is None:
        return
    if len(rounds) == 1:
        panel.vlines(rounds, low, high, color=colour, linewidth=1.6)
    panel.fill_between(rounds, low, high, color=colour, alpha=0.1, linewidth=0)
