"""A cell of the study's grid: the unit of training, of rerunning and of every table."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Cell:
    """One training run. Each field is a registered name (seed: integer >= 0), a config value and a wildcard value."""

    dataset: str
    family: str
    strategy: str
    protocol: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.family}/{self.strategy}/{self.protocol}/seed{self.seed}"
