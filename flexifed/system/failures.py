"""What failed in a run of Snakemake, job by job, with the last line of each job's log: where its reason stands."""

import re
from collections.abc import Iterable
from pathlib import Path

JOB = re.compile(r"^Error in rule (?P<rule>\w+):\n(?P<about>(?: {4}.*\n)*)", re.MULTILINE)
"""How Snakemake tells of a failed job."""
OUTPUT = re.compile(r"^ {4}output: (?P<first>[^,\n]+)", re.MULTILINE)
LOG = re.compile(r"^ {4}log: (?P<file>[^,\n]+?)(?:,.*)?(?: \(check log file.*)?$", re.MULTILINE)
TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ")


def listed(snakemake_logs: Iterable[Path]) -> str:
    """The failed jobs as text, a paragraph each; empty where there are none.

    A job that failed and came to its end at another attempt is not one of them.

    Args:
        snakemake_logs: what Snakemake itself has written of the run; paths in it are relative to the working directory.
    """
    logs: dict[str, str] = {}
    text = "\n".join(path.read_text(errors="replace") for path in snakemake_logs)
    for job in JOB.finditer(text):
        output, log = OUTPUT.search(job["about"]), LOG.search(job["about"])
        if log and not (output and Path(output["first"]).exists()):
            logs[log["file"]] = last_line(Path(log["file"]))
    if not logs:
        return ""
    count = "1 job failed. The last line of its log" if len(logs) == 1 else f"{len(logs)} jobs failed. Their logs' ends"
    return "\n".join([f"{count}:", *(f"  {file}\n    {line}" for file, line in logs.items())])


def last_line(log: Path) -> str:
    """The last line of a job's log, without its time."""
    try:
        lines = log.read_text(errors="replace").split("\n")
    except OSError:
        return "(it left no log: killed before it began, or its scheduler's log says more)"
    return TIME.sub("", next((line for line in reversed(lines) if line.strip()), "(an empty log)"))
