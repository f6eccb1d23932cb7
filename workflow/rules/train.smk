# Needs: prepared arrays, a partition, a plan.
# Leaves: the history and the run record of one cell.
# One job per cell, so that a change reruns the cells it touches and a cluster trains as many at a time as it has GPUs.

# What it asks a scheduler for comes from workflow/resources.yaml; a profile's `set-resources` goes before it.

REQUEST = yaml.safe_load(Path(f"{workflow.basedir}/workflow/resources.yaml").read_text())


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


rule train:
    input:
        card=f"{DATA}/card.json",
        arrays=[ancient(array) for array in ARRAYS],
        partition=PARTITION,
        plan=PLAN,
    output:
        history=f"{CELL}/history.parquet",
        record=f"{CELL}/run.json",
    log:
        f"{RESULTS}/logs/{layout.CELL}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.CELL}.tsv"
    conda:
        "../../envs/flexifed.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: attempt * REQUEST["mem_mb"],
        runtime=runtime_of,
    params:
        settings=lambda wildcards: job_of(wildcards).settings(),
        code=lambda wildcards: job_of(wildcards).code(),
    script:
        "../scripts/train.py"
