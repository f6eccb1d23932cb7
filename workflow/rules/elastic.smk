# Needs: the shape of samples; for masks, the training data, of which a few per cent are the proxy set.
# Leaves: the table of budgets: which member of a family each tier of clients holds, for every way to cut one; the masks of
# the largest version, by iterative magnitude pruning; and plans that depend on the table.
# Stages of their own, done in the cloud and not by clients (eLF): every strategy of a study reads the same table and masks.


rule budgets:
    input:
        f"{DATA}/card.json",
    output:
        BUDGETS,
    log:
        f"{RESULTS}/logs/{layout.BUDGETS}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.BUDGETS}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        protocol=lambda wildcards: dataclasses.asdict(protocol_of(wildcards)),
        options=lambda wildcards: STUDY.family_options(wildcards.family, wildcards.protocol),
        code=code("flexifed.elastic.budgets"),
    script:
        "../scripts/budgets.py"


rule masks:
    input:
        card=f"{DATA}/card.json",
        arrays=[ancient(array) for array in ARRAYS],
    output:
        MASKS,
    log:
        f"{RESULTS}/logs/{layout.MASKS}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.MASKS}.tsv"
    conda:
        "../../envs/flexifed.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: attempt * REQUEST["mem_mb"],
    params:
        settings=pruned_with,
        code=pruning_code,
    script:
        "../scripts/masks.py"


rule elastic_plan:
    input:
        BUDGETS,
    output:
        PLAN_OF_DATASET,
    log:
        f"{RESULTS}/logs/{layout.PLAN_OF_DATASET}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.PLAN_OF_DATASET}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        settings=planned_with,
        code=plan_code,
    script:
        "../scripts/elastic_plan.py"
