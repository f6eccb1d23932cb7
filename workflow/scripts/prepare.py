"""Prepare one data set: adapter between the rule and flexifed.data.prepare."""

from pathlib import Path

from flexifed.data.prepare import prepare
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    prepare(
        snakemake.wildcards.dataset,
        receipt=Path(snakemake.input.receipt),
        options=dict(snakemake.params.options),
        out=Path(snakemake.output.card).parent,
        threads=snakemake.threads,
    )
