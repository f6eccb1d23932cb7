"""Make one plan with budgets: adapter between the rule and flexifed.sharing.planning."""

from pathlib import Path

from flexifed.elastic import budgets
from flexifed.settings.cell import Cell
from flexifed.settings.job import Job
from flexifed.sharing import plan
from flexifed.study import single
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    names = dict(snakemake.wildcards.items())
    job = Job.from_settings(Cell(**names, seed=0), snakemake.params.settings)
    plan.write(single.elastic_plan(job, budgets.read(Path(snakemake.input[0]))), Path(snakemake.output[0]))
