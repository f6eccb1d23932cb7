"""Make the masks of one family and seed: adapter between the rule and flexifed.elastic.pruning."""

import os
from pathlib import Path

import torch

from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.study import single
from flexifed.system import interruption, logs

torch.set_num_threads(snakemake.threads)
interruption.end_with(int(os.environ["FLEXIFED_DRIVER"]))

with logs.to(snakemake.log[0]):
    names = dict(snakemake.wildcards.items())
    cell = Cell(**{**names, "strategy": "", "seed": int(names["seed"])})
    job = Job.from_settings(cell, snakemake.params.settings)
    single.make_masks(job, Path(snakemake.input.card).parent, Path(snakemake.output[0]))
