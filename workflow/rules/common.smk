# The study, its paths and the helpers that rules share. Nothing here imports torch, so a dry run takes seconds.
import dataclasses
import os
import re
import sys

sys.path.insert(0, str(workflow.basedir))
# Jobs import the package from this checkout, whether or not it is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(workflow.basedir), os.environ.get("PYTHONPATH")]))

from snakemake.exceptions import WorkflowError

from flexifed import codedigest, files, layout, registry
from flexifed import config as configuration
from flexifed.cell import Cell
from flexifed.errors import UserError
from flexifed.job import Job

try:
    STUDY = configuration.parse(config)
except UserError as error:
    raise WorkflowError(f"The study's configuration has faults:\n{error}") from None

PACKAGE = registry.PACKAGE
RESULTS = str(layout.study_folder(STUDY.study))
CELLS = STUDY.cells()
BLOCKS = list(dict.fromkeys((c.dataset, c.family, c.protocol) for c in CELLS))

SOURCE, DATA, PARTITION, PLAN, CELL = (
    f"{RESULTS}/{pattern}" for pattern in (layout.SOURCE, layout.DATA, layout.PARTITION, layout.PLAN, layout.CELL)
)

# The card holds the digests of these arrays, so what uses them follows the card's content and not their times.
ARRAYS = [f"{DATA}/{name}" for name in ("train.npy", "test.npy", "train.parquet", "test.parquet")]


def one_of(field):
    """A wildcard constraint: the values of a cell's field that the study names."""
    return "|".join(sorted({re.escape(str(getattr(cell, field))) for cell in CELLS}))


wildcard_constraints:
    **{field.name: one_of(field.name) for field in dataclasses.fields(Cell)},


def cell_of(wildcards):
    return Cell(**{**{f.name: wildcards[f.name] for f in dataclasses.fields(Cell)}, "seed": int(wildcards.seed)})


def job_of(wildcards):
    cell = cell_of(wildcards)
    return Job(cell, STUDY.protocol(cell.protocol, cell.dataset), STUDY.families.get(cell.family, {}), STUDY.engine)


def code(*modules):
    """A `params` function: the digest of the code a rule's output depends on; module names may hold wildcards."""
    return lambda wildcards: codedigest.digest(*(module.format(**wildcards) for module in modules))
