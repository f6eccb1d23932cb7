"""FlexiFed: from raw data to Table 1 of the paper, for any study described in `config/`.

Everything lands below `results/{study}/`:

    data/{dataset}.source.json                  what was downloaded and verified, or which local copy is used
    data/{dataset}/                             prepared arrays and their card
    partitions/{dataset}/{protocol}/seed{seed}.parquet      which client holds which samples
    plans/{family}/{strategy}/{protocol}.json               which clients average which layer
    devices/{protocol}/seed{seed}.parquet                   what clients run on, where the protocol says so
    cells/{dataset}/{family}/{strategy}/{protocol}/seed{seed}/{history.parquet,run.json}   one training run
    cells/{dataset}/{family}/{strategy}/{protocol}/seed{seed}/models/       its models, where the study keeps them
    cells.parquet, runs.parquet                 every history and every run record; nothing later opens a cell again
    tables/, figures/                           Table 1, claims, errors, costs, effects, sweeps, fairness, simulated seconds;
                                                curves, sharing maps, class mixes
    report.html                                 all of it on one page
    logs/, benchmarks/                          mirror the paths above

Archives are kept in `downloads/`, shared by all studies. Targets: `all` (default), `inputs` (partitions and plans only).
Where cells have failed, `--config partial=true` makes tables, figures and report from the others, and trains nothing.
"""

from snakemake.utils import min_version

min_version("9.0")

if "study" not in config:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/common.smk"


# A partial run takes what is there and makes none of it again, so that what failed before does not fail once more.
if not PARTIAL:

    include: "workflow/rules/download.smk"
    include: "workflow/rules/prepare.smk"
    include: "workflow/rules/partition.smk"
    include: "workflow/rules/plan.smk"
    include: "workflow/rules/devices.smk"
    include: "workflow/rules/train.smk"


include: "workflow/rules/collect.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/errors.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/costs.smk"
include: "workflow/rules/overview.smk"


if STUDY.effects:

    include: "workflow/rules/effects.smk"


if STUDY.sweep:

    include: "workflow/rules/sweep.smk"


if layout.has_fairness(PROTOCOLS.values()):

    include: "workflow/rules/fairness.smk"


if layout.has_clock(PROTOCOLS.values()):

    include: "workflow/rules/seconds.smk"


include: "workflow/rules/report.smk"


# Before any job, so that hours of training do not end in a folder that takes no result.
onstart:
    try:
        preflight.begin(STUDY, study_file(), trains=not PARTIAL)
    except UserError as error:
        raise WorkflowError(str(error)) from None


# Last of all, so that nobody has to look for the reason among hundreds of lines.
onerror:
    print(failures.listed(map(Path, log)), file=sys.stderr, flush=True)


# With a cluster, these run where Snakemake does: they need the network or take seconds. `prepare` and `train` are jobs.
localrules:
    all,
    inputs,
    download,
    partition,
    plan,
    devices,
    collect,
    tables,
    convergence,
    final_numbers,
    class_mix,
    sharing,
    report_page,


# The cells stand here beside what is made from them, so that one whose files are gone is trained again.
rule all:
    default_target: True
    input:
        f"{RESULTS}/report.html",
        [of_cells(f"{CELL}/{name}", COLLECTED) for name in layout.cell_files("none" if PARTIAL else STUDY.keep_models)],


# A run of its own for partitions and plans, before `all`: where their content did not change although their code did, the
# cells that use them are then left alone. (Within one run Snakemake reruns whatever follows a rule that reran.)
rule inputs:
    input:
        of_cells(PARTITION),
        of_cells(PLAN),
        of_cells(DEVICES, ON_DEVICES),
