"""What this machine has, and what will therefore run on it in which time: `flexifed doctor`."""

from flexifed.doctor.finding import table

__all__ = ["examine"]


def examine(*, measure: bool = True) -> str:
    """The whole examination as text, a section for each of machine, packages, data and times.

    Args:
        measure: Also train one small cell and some steps of a large model, which takes about half a minute. Without it,
            nothing is said about times.
    """
    from flexifed.doctor import data, hardware, software, times

    sections = {"Machine": hardware.findings(), "Packages": software.findings(), "Data": data.findings()}
    if measure:
        sections["Times, from what was measured just now"] = times.findings()
    text = [f"{title}\n{table(found)}" for title, found in sections.items()]
    advice = [finding.advice for found in sections.values() for finding in found if finding.advice]
    text.append("\n".join(["To do", *(f"  - {line}" for line in advice)]) if advice else "Nothing is in the way.")
    return "\n\n".join(text)
