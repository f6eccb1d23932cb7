# Needs: the collected cells. Included only where a protocol tests every client on its own samples.
# Leaves: how evenly each strategy serves the clients.
# A stage of its own, because what is called fair may change without any training.


rule fairness:
    input:
        cells=f"{RESULTS}/cells.parquet",
    output:
        csv=report(f"{TABLES}/fairness.csv", caption="../report/fairness.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/fairness.log",
    benchmark:
        f"{RESULTS}/benchmarks/fairness.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        final=final_rules(),
        table="fairness",
        code=code("flexifed.analysis.fairness"),
    script:
        "../scripts/table.py"
