# Needs: nothing but architectures.
# Leaves: a plan: which clients average which layer.
# A stage of its own, because the strategy's code enters the cells through this file alone: a tidied strategy with the
# same plan reruns no cell.


def plan_protocol(wildcards):
    return STUDY.protocol(wildcards.protocol)


rule plan:
    output:
        PLAN,
    log:
        f"{RESULTS}/logs/{layout.PLAN}.log",
    conda:
        "../../envs/flexifed.yaml"
    params:
        versions=lambda wildcards: plan_protocol(wildcards).client_versions(),
        classifier=lambda wildcards: plan_protocol(wildcards).classifier,
        options=lambda wildcards: STUDY.families.get(wildcards.family, {}),
        code=code("flexifed.planning", "flexifed.strategies.{strategy}", "flexifed.models.{family}"),
    script:
        "../scripts/plan.py"
