"""What is measured against what: the plain loop, and every engine in every precision that it offers."""

from dataclasses import dataclass

from flexifed.settings import registry

PLAIN = "plain"
FLOAT32 = "float32"


@dataclass(frozen=True)
class Candidate:
    """`plain`, or a file of `flexifed/engines/`, in one precision."""

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


def known(device: str) -> list[Candidate]:
    """The plain loop first. TF32 is for GPUs: a CPU computes it as float32."""
    engines = [
        Candidate(engine, precision)
        for engine in registry.names("engine")
        for precision in registry.constant("engine", engine, "PRECISIONS")
        if not (device == "cpu" and precision == "tf32")
    ]
    return [Candidate(PLAIN, FLOAT32), *engines]


def aggregating() -> list[Candidate]:
    """The plain loop, and the server, which is the same for every engine."""
    return [Candidate(PLAIN, FLOAT32), Candidate("fast", FLOAT32)]
