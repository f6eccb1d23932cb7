"""What an effect can be of: a metric of the data set's task, or how evenly clients are served.

Metrics are in percent, and differences in percentage points, but for the loss, which is in nats.
"""

from flexifed.settings import registry

EVENNESS = {
    "variance": "variance over clients",
    "std": "standard deviation over clients",
    "worst_tenth": "worst tenth of clients",
    "best_tenth": "best tenth of clients",
}
"""Of the task's own metric, where every client is tested on its own samples, see `flexifed.analysis.fairness`."""

LOSS = "loss"


def titles(dataset: str) -> dict[str, str]:
    """Every quantity that a data set has, with its name for people; the task's own metric is one of them."""
    task = registry.task(dataset)
    metrics: dict[str, str] = registry.constant("task", task, "METRICS", {})
    metrics = metrics or {own(dataset): registry.metric_title(dataset), LOSS: "loss"}
    return metrics if registry.constant("task", task, "SCORES", False) else {**metrics, **EVENNESS}


def own(dataset: str) -> str:
    """The task's own metric."""
    metric: str = registry.constant("task", registry.task(dataset), "METRIC")
    return metric


def factor(quantity: str) -> float:
    """What histories hold times this is in the quantity's unit."""
    return 1.0 if quantity == LOSS else 100.0


def unit(quantity: str) -> str:
    """The unit of a difference."""
    units = {LOSS: "nats", "variance": "percentage points squared"}
    return units.get(quantity, "percentage points")


def digits(quantity: str) -> int:
    """Decimals that are shown of a difference."""
    return 3 if quantity == LOSS else 1
