# Needs: prepared arrays, a partition, a plan, and, where there are any, devices and masks.
# Leaves: the history and the run record of one cell; and its models, where the study keeps them.
# One job per cell, so that a change reruns the cells it touches and a cluster trains as many at a time as it has GPUs.
# What it asks a scheduler for comes from workflow/resources.yaml; a profile's `set-resources` goes before it.


rule train:
    input:
        card=f"{DATA}/card.json",
        arrays=[ancient(array) for array in ARRAYS],
        partition=PARTITION,
        plan=lambda wildcards: f"{RESULTS}/{layout.plan(protocol_of(wildcards))}".format(**wildcards),
        devices=lambda wildcards: DEVICES if devices_of(wildcards) else [],
        masks=masks_of,
    output:
        **MODELS,
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
        settings=lambda wildcards: identity_of(wildcards)["settings"],
        code=lambda wildcards: identity_of(wildcards)["code"],
    script:
        "../scripts/train.py"
