# Needs: the collected cells, and Table 1 for the strategies of a block. Included only where a protocol has devices.
# Leaves: simulated seconds to a target and in all, and each block's convergence against the clock.
# A stage of its own, because the rule for the target is ours and may change without the tables.


rule seconds:
    input:
        cells=f"{RESULTS}/cells.parquet",
    output:
        csv=report(f"{TABLES}/seconds.csv", caption="../report/seconds.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/seconds.log",
    benchmark:
        f"{RESULTS}/benchmarks/seconds.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        table="seconds",
        code=code("flexifed.analysis.seconds"),
    script:
        "../scripts/table.py"


rule convergence_seconds:
    input:
        cells=f"{RESULTS}/cells.parquet",
        table1=f"{TABLES}/table1.csv",
    output:
        png=report(f"{CONVERGENCE_SECONDS}.png", caption="../report/convergence_seconds.rst", category="Convergence"),
        svg=f"{CONVERGENCE_SECONDS}.svg",
    log:
        f"{RESULTS}/logs/figures/convergence_seconds.{{dataset}}.{{family}}.{{protocol}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/convergence_seconds.{{dataset}}.{{family}}.{{protocol}}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="convergence_seconds",
        code=code("flexifed.figures.convergence_seconds"),
    script:
        "../scripts/figure.py"
