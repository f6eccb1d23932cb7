# The study, its paths and the helpers that rules share. Nothing here imports torch, so a dry run takes seconds.
import dataclasses
import hashlib
import math
import os
import re
import sys
from pathlib import Path

import yaml

# The package of this checkout, whether or not it is installed. Where the workflow alone is fetched, as a module from a public
# host, there is none beside it, and the installed one is used. Jobs do the same, and stop when this process is gone.
CHECKOUT = Path(workflow.snakefile).parents[2]
if (CHECKOUT / "flexifed").is_dir():
    sys.path.insert(0, str(CHECKOUT))
    inherited = dict(os.environ).get("PYTHONPATH")
    os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [str(CHECKOUT), inherited])))
os.environ.update(FLEXIFED_DRIVER=str(os.getpid()))

from snakemake.exceptions import WorkflowError

from flexifed.settings import codedigest, layout, registry
from flexifed.settings.cell import Cell
from flexifed.settings.job import devices_code, partition_code
from flexifed.study import config as configuration
from flexifed.study import preflight, studyfile
from flexifed.system import failures, files
from flexifed.system.errors import UserError

# A run for the report alone, from the cells that are there. Not a key of the study, so not part of what is checked.
PARTIAL = str(config.pop("partial", False)).lower()
if PARTIAL not in ("true", "false"):
    raise WorkflowError(f"partial: expected true or false, got {PARTIAL!r}.")
PARTIAL = PARTIAL == "true"


# The name under which another workflow imports this one, which then has its configuration from there.
MODULE = __name__


def config_sources():
    """What the configuration is merged from, in that order: the default study, files given by hand, `--config`."""
    if MODULE:
        return [studyfile.Source(f"config of module {MODULE}", config)]
    given = list(workflow.overwrite_configfiles)
    default = [path for path in workflow.configfiles if path not in given]
    sources = [studyfile.read(studyfile.near(path)) for path in [*default, *given]]
    return [*sources, studyfile.Source("--config", workflow.config_settings.config)]


try:
    STUDY = configuration.parse(config, config_sources())
except UserError as error:
    raise WorkflowError(f"The study's configuration has faults:\n{error}") from None


def study_file():
    """The study's own file, over which further ones are laid: the default where it was read, else the first one given.

    None where another workflow gives the configuration.
    """
    if MODULE:
        return None
    given = list(workflow.overwrite_configfiles)
    default = [path for path in workflow.configfiles if path not in given]
    return next((Path(path) for path in (*default, *given)), None)


CELLS = STUDY.cells()
PACKAGE = registry.PACKAGE


# Paths

RESULTS = str(layout.study_folder(STUDY.name))
if workflow.modifier.modify_path(RESULTS) != RESULTS:
    raise WorkflowError(
        f"module {MODULE}: no `prefix`, please: results go to {RESULTS}. Give the study another name instead."
    )
SOURCE, DATA, PARTITION, PLAN, DEVICES, CELL = (
    f"{RESULTS}/{pattern}"
    for pattern in (layout.SOURCE, layout.DATA, layout.PARTITION, layout.PLAN, layout.DEVICES, layout.CELL)
)
PLAN_OF_DATASET, BUDGETS, MASKS = (
    f"{RESULTS}/{pattern}" for pattern in (layout.PLAN_OF_DATASET, layout.BUDGETS, layout.MASKS)
)
# The card holds the digests of these arrays, so what uses them follows the card's content and not their times.
ARRAYS = [f"{DATA}/{name}" for name in ("train.npy", "test.npy", "train.parquet", "test.parquet")]
# An output only where the study asks for it: then a cell without it is trained again, and no other is.
MODELS = {"models": f"{CELL}/{layout.MODELS}/{STUDY.keep_models}.json"} if STUDY.keep_models != "none" else {}
TABLES = f"{RESULTS}/tables"
FIGURES = f"{RESULTS}/figures"
CONVERGENCE = f"{FIGURES}/convergence.{{dataset}}.{{family}}.{{protocol}}"
CLASS_MIX = f"{FIGURES}/class_mix.{{dataset}}.{{protocol}}.seed{{seed}}"
SHARING = f"{FIGURES}/sharing.{{family}}.{{protocol}}"
BUDGETS_FIGURE = f"{FIGURES}/budgets.{{dataset}}.{{family}}.{{protocol}}"
FINAL_NUMBERS = f"{FIGURES}/final_numbers"
EFFECTS = f"{FIGURES}/effects"
COSTS = f"{FIGURES}/costs"
SWEEP = f"{FIGURES}/sweep"
OVERVIEW = f"{FIGURES}/overview"
LOSS = f"{FIGURES}/loss"
CONVERGENCE_SECONDS = f"{FIGURES}/convergence_seconds.{{dataset}}.{{family}}.{{protocol}}"
ERRORS = f"{FIGURES}/errors"


def of_cells(pattern, cells=CELLS):
    """A pattern filled in for every cell, without repetitions."""
    return list(dict.fromkeys(pattern.format(**vars(cell)) for cell in cells))


def is_up_to_date(cell):
    """Whether a cell's history and record are there, of this study's settings and code."""
    folder = Path(CELL.format(**vars(cell)))
    there = all((folder / name).exists() for name in layout.cell_files())
    return there and STUDY.job(cell).is_up_to_date(folder / "run.json")


# The cells that tables and figures are made from.
COLLECTED = [cell for cell in CELLS if is_up_to_date(cell)] if PARTIAL else CELLS


PROTOCOLS = {name: STUDY.protocol(name) for name in dict.fromkeys(cell.protocol for cell in CELLS)}
WITH_BUDGETS = [cell for cell in CELLS if PROTOCOLS[cell.protocol].budgets]
ON_DEVICES = [cell for cell in CELLS if PROTOCOLS[cell.protocol].devices]


def plan_of(cell):
    """The plan that a cell is trained with."""
    return f"{RESULTS}/{layout.plan(PROTOCOLS[cell.protocol])}".format(**vars(cell))


PLANS = list(dict.fromkeys(map(plan_of, CELLS)))


def figure_stems():
    """Every figure of the study, without its suffix; class mixes for the first seed of each partition."""
    seeds = {}
    for cell in COLLECTED:
        seeds.setdefault((cell.dataset, cell.protocol), cell.seed)
    class_mixes = [CLASS_MIX.format(dataset=d, protocol=p, seed=seed) for (d, p), seed in seeds.items()]
    whole = [EFFECTS] * bool(STUDY.effects) + [SWEEP] * (STUDY.sweep is not None)
    whole += [OVERVIEW, LOSS] * layout.has_overview(CELLS)
    return [
        *whole,
        ERRORS,
        FINAL_NUMBERS,
        COSTS,
        *of_cells(CONVERGENCE),
        *of_cells(CONVERGENCE_SECONDS, ON_DEVICES),
        *of_cells(SHARING, COLLECTED),
        *of_cells(BUDGETS_FIGURE, [cell for cell in COLLECTED if cell in WITH_BUDGETS]),
        *class_mixes,
    ]


# Wildcards


def one_of(field):
    """A constraint: the values of a cell's field that the study names."""
    return "|".join(sorted({re.escape(str(getattr(cell, field))) for cell in CELLS}))


wildcard_constraints:
    **{field.name: one_of(field.name) for field in dataclasses.fields(Cell)},


# What a rule's output depends on beside its input. A change reruns the rule.


def code(*modules):
    """The digest of the code; names of modules may hold wildcards."""
    return lambda wildcards: codedigest.digest(*(module.format(**wildcards) for module in modules))


def digests(pattern):
    """The digests of files of the package, of which there must be some."""
    found = {path.name: files.digest(path) for path in sorted(PACKAGE.glob(pattern))}
    assert found, f"no file of the package is {pattern}"
    return found


PUBLISHED = digests("published/*.csv")
# What is made of the cells that are there also names those that are missing.
EXPECTED = hashlib.sha256("\n".join(map(str, CELLS)).encode()).hexdigest()[:16]


def job_of(wildcards):
    """The resolved cell."""
    names = {field.name: wildcards[field.name] for field in dataclasses.fields(Cell)}
    return STUDY.job(Cell(**{**names, "seed": int(names["seed"])}))


def identity_of(wildcards):
    """Settings and code that the cell depends on, as its record says them where it is up to date."""
    return job_of(wildcards).identity(Path(CELL.format(**wildcards)) / "run.json")


def protocol_of(wildcards):
    """The resolved protocol, with the data set's overrides where there is one in the wildcards."""
    return STUDY.protocol(wildcards.protocol, wildcards.get("dataset"))


def devices_of(wildcards):
    """The devices that the protocol has; None without any."""
    return protocol_of(wildcards).devices


def tables_of_devices(wildcards):
    """The files that devices are drawn from: the options `file` of their plugins."""
    devices = devices_of(wildcards)
    found = []
    for kind in ("capacity", "availability"):
        options = registry.keywords(kind, getattr(devices, kind)) | getattr(devices, f"{kind}_options")
        found += [options["file"]] if "file" in options else []
    return found


def partitioner_code(wildcards):
    """The digest of the code of the partitioner that the protocol names."""
    return partition_code(protocol_of(wildcards).partition.partitioner)


def plan_code(wildcards):
    """The digest of the code that a plan depends on."""
    strategy, _ = STUDY.strategy(wildcards.strategy)
    made_by = "planning:for_members" if protocol_of(wildcards).budgets else "planning:for_family"
    return codedigest.digest(
        f"flexifed.sharing.{made_by}",
        f"flexifed.strategies.{strategy or wildcards.strategy}:groups",
        *(f"flexifed.models.{wildcards.family}:{name}" for name in ("KIND", "VERSIONS", "build")),
    )


def masks_of(wildcards):
    """The masks of a cell whose strategy cuts single values; none for others."""
    if protocol_of(wildcards).budgets is None:
        return []
    file, options = STUDY.strategy(wildcards.strategy)
    return MASKS if "sparsity" in registry.cuts(file or wildcards.strategy, options) else []


def pruned_with(wildcards):
    """What the masks of a family depend on: the settings of any of the cells that use them, without its strategy."""
    wanted = [wildcards[field] for field in ("dataset", "family", "protocol")] + [int(wildcards.seed)]
    cell = next(c for c in WITH_BUDGETS if [c.dataset, c.family, c.protocol, c.seed] == wanted)
    return STUDY.job(cell).settings() | {"strategy": None, "strategy_options": {}}


def pruning_code(wildcards):
    """The digest of the code that masks depend on."""
    return codedigest.digest(
        "flexifed.elastic.pruning:make_masks",
        *(f"flexifed.models.{wildcards.family}:{name}" for name in ("VERSIONS", "build", "initialise")),
        f"flexifed.datasets.{wildcards.dataset}:TRANSFORM",
        f"flexifed.tasks.{registry.task(wildcards.dataset)}:TASK",
    )


def planned_with(wildcards):
    """What a plan with budgets depends on beside its table: protocol, strategy and options."""
    cell = next(
        c
        for c in WITH_BUDGETS
        if all(getattr(c, field) == wildcards[field] for field in ("dataset", "family", "strategy", "protocol"))
    )
    return STUDY.job(cell).settings()


def archive_digests(wildcards):
    """Digests, not addresses: another mirror of the same file changes nothing."""
    archives = STUDY.archives(wildcards.dataset) or registry.load("dataset", wildcards.dataset).ARCHIVES
    return [archive.sha256 or archive.md5 for archive in archives]


def plans_of(wildcards):
    """The plans of a family and protocol, in the study's order of strategies."""
    cells = [c for c in COLLECTED if (c.family, c.protocol) == (wildcards.family, wildcards.protocol)]
    return list(dict.fromkeys(map(plan_of, cells)))


def final_rules():
    """Which number of a curve counts, by protocol."""
    return {name: dataclasses.asdict(STUDY.protocol(name).final) for name in STUDY.protocols}


# What a cell asks a scheduler for

REQUEST = yaml.safe_load(Path(workflow.source_path("../resources.yaml")).read_text())


def shares_one_request():
    """Whether cells are tasks of one job array: the SLURM plugin then gives every task the request of the first."""
    arrays = getattr(workflow.executor_settings, "array_jobs", None) or ""
    return not {"train", "all"}.isdisjoint(re.split(r"[,;\s]+", arrays))


def minutes_of(cell):
    """Run time of a cell by the table; a family that nobody has measured counts as the slowest that somebody has."""
    table = REQUEST["minutes_per_100_rounds"]
    per_round = table.get(cell.family, max(table.values())) / 100
    return math.ceil(REQUEST["start"] + REQUEST["margin"] * per_round * STUDY.protocol(cell.protocol).rounds)


def runtime_of(wildcards, attempt):
    """Minutes to ask for; an attempt after the first asks for as many times more."""
    return attempt * max(minutes_of(cell) for cell in (CELLS if shares_one_request() else [job_of(wildcards).cell]))
