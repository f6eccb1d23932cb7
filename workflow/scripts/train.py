"""Train one cell: adapter between the rule and flexifed.training.run."""

import os
from pathlib import Path

import torch

from flexifed.settings import layout, registry
from flexifed.settings.cell import Cell
from flexifed.settings.job import CHECKPOINT_MINUTES, Job
from flexifed.system import interruption, logs, progress
from flexifed.training.run import Inputs, run_cell

torch.set_num_threads(snakemake.threads)
interruption.end_with(int(os.environ["FLEXIFED_DRIVER"]))

with logs.to(snakemake.log[0]):
    study = Path(snakemake.output.record).relative_to(layout.RESULTS).parts[0]
    cell = Cell(**{**dict(snakemake.wildcards.items()), "seed": int(snakemake.wildcards.seed)})
    job = Job.from_settings(cell, snakemake.params.settings)
    with progress.rounds(
        str(cell), job.protocol.rounds, title=registry.metric_title(cell.dataset), bar=False
    ) as report:
        run_cell(
            job,
            Inputs(
                prepared=Path(snakemake.input.card).parent,
                partition_file=Path(snakemake.input.partition),
                plan_file=Path(snakemake.input.plan),
                devices_file=Path(snakemake.input.devices) if snakemake.input.devices else None,
                masks_file=Path(snakemake.input.masks) if snakemake.input.masks else None,
            ),
            Path(snakemake.output.record).parent,
            report,
            # Not among the rule's parameters: none of these is a reason to train again, nor is a model less.
            checkpoint_minutes=snakemake.config.get("checkpoint_minutes", CHECKPOINT_MINUTES),
            keep_models=snakemake.config.get("keep_models", "none"),
            tensorboard=layout.tensorboard(study, cell, snakemake.config.get("tensorboard", False)),
            study=study,
            failed_history=Path(snakemake.log[0]).with_suffix(".failed.parquet"),
        )
