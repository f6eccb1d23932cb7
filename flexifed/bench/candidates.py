"""What is measured against what: the plain loop, and every engine in every precision that it offers."""

from dataclasses import dataclass

from flexifed import registry

PLAIN = "plain"
FLOAT32 = "float32"


@dataclass(frozen=True)
class Candidate:
    """`plain`, or a file of `flexifed/engines/`, in one precision."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


def known() -> list[Candidate]:
    """The plain loop first. An engine names its precisions in its constant `PRECISIONS`; without it, float32 only."""
    engines = [
        Candidate(engine, precision)
        for engine in registry.names("engine")
        for precision in getattr(registry.load("engine", engine), "PRECISIONS", (FLOAT32,))
    ]
    return [Candidate(PLAIN, FLOAT32), *engines]


def aggregating() -> list[Candidate]:
    """One candidate for each way to aggregate, which does not depend on the precision of training."""
    first: dict[str, Candidate] = {}
    for candidate in known():
        first.setdefault(candidate.engine, candidate)
    return list(first.values())
