# Needs: nothing but architectures.
# Leaves: a plan: which clients average which layer.
# A stage of its own, because the strategy's code enters the cells through this file alone: a tidied strategy with the
# same plan reruns no cell.


rule plan:
    output:
        PLAN,
    log:
        f"{RESULTS}/logs/{layout.PLAN}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.PLAN}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        versions=lambda wildcards: protocol_of(wildcards).client_versions(),
        classifier=lambda wildcards: protocol_of(wildcards).classifier,
        common_layers=lambda wildcards: protocol_of(wildcards).common_layers,
        options=lambda wildcards: STUDY.family_options(wildcards.family, wildcards.protocol),
        strategy=lambda wildcards: STUDY.strategy(wildcards.strategy),
        code=plan_code,
    script:
        "../scripts/plan.py"
