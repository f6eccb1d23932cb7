"""What is missing: every expected cell that has no run."""

from flexifed.report.parts import Points, Section, Sources

FEW = 10
"""Missing runs that are listed openly; more are folded."""


def section(sources: Sources) -> Section:
    """The cells by name, and where to read why they are missing."""
    absent = sources.missing()
    about = (
        f"{len(absent)} of {len(sources.expected)} runs are missing, and nothing below takes their place. The last "
        "line of a run's log says why it failed: see its name in logs/cells/ beside this page."
    )
    return Section(
        "What is missing",
        [Points(absent, summary="The missing runs" if len(absent) > FEW else "")] if absent else [],
        about,
    )
