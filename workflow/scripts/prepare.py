"""Prepare one data set: adapter between the rule and flexifed.prepare."""

from pathlib import Path

from flexifed import logs
from flexifed.prepare import prepare

with logs.to(snakemake.log[0]):
    prepare(
        snakemake.wildcards.dataset,
        receipt=Path(snakemake.input.receipt),
        options=dict(snakemake.params.options),
        out=Path(snakemake.output.card).parent,
        threads=snakemake.threads,
    )
