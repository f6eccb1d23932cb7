"""synthetic(alpha, beta): vectors in ten classes, for users whose models and samples differ (FedProx, Li et al., 2020).

Made by the recipe of github.com/litian96/FedProx (`data/synthetic_*`, after Shamir et al., ICML 2014), so nothing is
downloaded and no licence applies. The recipe sets no seed, so nobody has its numbers again: these are others of the
same distribution.
"""

from pathlib import Path

import numpy as np

from flexifed.data.parallel import Workers
from flexifed.data.samples import Prepared, Split
from flexifed.data.transforms import VectorTransform
from flexifed.settings.rng import stream

KIND = "vector"

ARCHIVES = ()

FOLDER = ""
FILES = ()
ORIGIN = "made by its recipe"

CLASSES = tuple("0123456789")

TRANSFORM = VectorTransform()

ALLOWED = {"alpha": (0, 100), "beta": (0, 100), "users": (1, 100_000), "seed": (0, None)}
"""Least and most of each option."""

FEATURES = 60
SPREAD = np.arange(1, FEATURES + 1) ** -0.6
"""Standard deviation of each feature around its user's mean: the variance of feature j is j to the power of -1.2."""
LEAST = 50  # samples of a user
TRAIN = 0.9  # of each user's samples

Made = tuple[np.ndarray, np.ndarray]
"""Samples, float32 [n, 60], and their labels, int64 [n]."""


def prepare(
    source: Path | None,
    workers: Workers,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    users: int = 30,
    iid: bool = False,
    seed: int = 0,
) -> Prepared:
    """Make each user's model and samples; groups are users.

    User k has 50 + int(LogNormal(4, 2)) samples, a model W [60, 10], b [10] ~ N(u, 1) with u ~ N(0, alpha), and samples
    x ~ N(v, diag(j^-1.2)) with v [60] ~ N(B, 1) and B ~ N(0, beta); the label is argmax(x W + b). The first nine tenths
    of a user's samples (rounded down) train, the others test. As in the recipe's code alpha and beta are standard
    deviations; the paper writes them as if they were variances, which differ for synthetic(0.5, 0.5) alone.

    Whatever alpha is, no label changes: u adds the same to the scores of all ten classes. Users' models differ all the
    same, since each draws its own W and b around u.

    Each user is drawn from a stream of its own: with more users the first ones stay as they are.

    Args:
        source: Not read.
        workers: Told users done and users in total.
        alpha: Said to be how much users' models differ; kept because the recipe has it.
        beta: How much users' samples differ.
        users: 30 in FedProx, 100 in fair_flearn (q-FFL).
        iid: FedProx's synthetic_iid: all users have one model, W and b ~ N(0, 1), and v = 0; alpha and beta do nothing.
        seed: Of everything that is drawn.
    """
    made = []
    for user in range(users):
        made.append(_user(stream(seed, "synthetic", user), stream(seed, "synthetic", "model"), alpha, beta, iid))
        workers.progress(user + 1, users)
    starts = [int(TRAIN * len(labels)) for _, labels in made]
    train = [(x[:start], y[:start]) for (x, y), start in zip(made, starts, strict=True)]
    test = [(x[start:], y[start:]) for (x, y), start in zip(made, starts, strict=True)]
    return Prepared(_split(train), _split(test), CLASSES, (f"{users:,} users",))


def _user(rng: np.random.Generator, common: np.random.Generator, alpha: float, beta: float, iid: bool) -> Made:
    """The samples of one user; `common` is at its start, and gives all users the same model."""
    n = LEAST + int(rng.lognormal(4, 2))
    model, centre = rng.normal(0, alpha), rng.normal(0, beta)
    mean = np.zeros(FEATURES) if iid else rng.normal(centre, 1, FEATURES)
    of_model, about = (common, 0.0) if iid else (rng, model)
    weights, bias = of_model.normal(about, 1, (FEATURES, len(CLASSES))), of_model.normal(about, 1, len(CLASSES))
    samples = (mean + SPREAD * rng.standard_normal((n, FEATURES))).astype(np.float32)
    return samples, np.argmax(samples @ weights + bias, axis=1)


def _split(made: list[Made]) -> Split:
    samples, labels = (np.concatenate([each[part] for each in made]) for part in (0, 1))
    return Split(samples, labels, np.repeat(np.arange(len(made), dtype=np.int32), [len(y) for _, y in made]))
