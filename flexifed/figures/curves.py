"""What the figures of curves have in common: lines with bands over seeds, against rounds."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy import stats


def least_seeds(curves: pd.DataFrame) -> int:
    """How many seeds every strategy of these curves has at least; 0 without curves."""
    return int(curves.groupby("strategy", observed=True)["seed"].nunique().min()) if len(curves) else 0


def rounds_axis(panel: Axes) -> None:
    """Whole rounds along a panel with a grid."""
    panel.grid(True)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.tick_params(labelbottom=True)


def band_text(n_seeds: int, of: str = "the clients of the version") -> str:
    """What a line (a mean over `of` and the seeds) and its band are, for the seeds that every strategy has at least."""
    if n_seeds == 0:
        return "missing: no run of this block is there"
    if n_seeds == 1:
        return f"line: mean over {of}, one seed"
    band = "range of the two seeds" if n_seeds == 2 else "95 % Student t interval over the seeds"
    return f"line: mean over {of} and {n_seeds} seeds; band: {band}"


def curve(panel: Axes, per_seed: pd.DataFrame, colour: str, n_seeds: int) -> None:
    """A line (mean over the columns, which are seeds) and its band, if there are seeds for one."""
    rounds, values = per_seed.index.to_numpy(), per_seed.to_numpy()
    mean = np.nanmean(values, axis=1)
    panel.plot(rounds, mean, color=colour, linewidth=1.1, marker="o" if len(rounds) == 1 else None)
    if n_seeds == 2:
        low, high = np.nanmin(values, axis=1), np.nanmax(values, axis=1)
    elif n_seeds > 2:
        n = np.sum(~np.isnan(values), axis=1)
        half = stats.t.ppf(0.975, n - 1) * np.nanstd(values, axis=1, ddof=1) / np.sqrt(n)
        low, high = mean - half, mean + half
    else:
        return
    panel.fill_between(rounds, low, high, color=colour, alpha=0.18, linewidth=0)
