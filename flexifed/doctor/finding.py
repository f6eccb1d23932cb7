"""One thing that was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what was found.

    Attributes:
        advice: what to do about it; empty where nothing has to be done.
    """

    name: str
    text: str
    advice: str = ""


def table(findings: Sequence[Finding]) -> str:
    """A line for each finding, those with advice marked."""
    width = max(len(finding.name) for finding in findings)
    return "\n".join(f"{'!' if f.advice else ' '} {f.name:{width}}  {f.text}".rstrip() for f in findings)


def size(n_bytes: float) -> str:
    """Bytes in GB or MB."""
    return f"{n_bytes / 1e9:,.0f} GB" if n_bytes >= 10e9 else f"{n_bytes / 1e6:,.0f} MB"
