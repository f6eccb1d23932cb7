# Needs: the collected cells and records. Included only where a protocol has budgets.
# Leaves: what each way to cut members gains and saves beside the largest version everywhere.
# A stage of its own, because the rule for the target is ours and may change without the tables.


rule elastic:
    input:
        cells=f"{RESULTS}/cells.parquet",
        runs=f"{RESULTS}/runs.parquet",
    output:
        csv=report(f"{TABLES}/elastic.csv", caption="../report/elastic.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/elastic.log",
    benchmark:
        f"{RESULTS}/benchmarks/elastic.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        table="elastic",
        code=code("flexifed.analysis.elastic"),
    script:
        "../scripts/table.py"
