"""Train one cell: adapter between the rule and flexifed.federation."""

from pathlib import Path

import torch

from flexifed import federation, logs, progress
from flexifed.cell import Cell
from flexifed.job import Job

torch.set_num_threads(snakemake.threads)

with logs.to(snakemake.log[0]):
    cell = Cell(**{**dict(snakemake.wildcards.items()), "seed": int(snakemake.wildcards.seed)})
    job = Job.from_settings(cell, snakemake.params.settings)
    with progress.rounds(str(cell), job.protocol.rounds, bar=False) as report:
        federation.run_cell(
            job,
            prepared=Path(snakemake.input.card).parent,
            partition_file=Path(snakemake.input.partition),
            plan_file=Path(snakemake.input.plan),
            out=Path(snakemake.output.record).parent,
            progress=report,
        )
