# Needs: the collected cells. Expected cells that are not there appear as missing, never as a number.
# Leaves: Table 1 as CSV, Markdown and LaTeX beside the paper's numbers, and the smaller tables.
# A stage of its own, because the rule for the final number may change without any training.


rule tables:
    input:
        cells=f"{RESULTS}/cells.parquet",
        runs=f"{RESULTS}/runs.parquet",
    output:
        csv=report(f"{TABLES}/table1.csv", caption="../report/table1.rst", category="Tables"),
        other=[f"{TABLES}/{name}" for name in ("table1.md", "table1.tex", "table3.csv")],
        more=[f"{TABLES}/{name}.csv" for name in ("phases", "comparisons", "published", "table3_differences")],
    log:
        f"{RESULTS}/logs/tables.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        final=final_rules(),
        table="tables",
        code=code("flexifed.analysis.tables"),
        published=PUBLISHED,
    script:
        "../scripts/table.py"


rule beside:
    input:
        cells=f"{RESULTS}/cells.parquet",
        runs=f"{RESULTS}/runs.parquet",
    output:
        csv=report(f"{TABLES}/beside.csv", caption="../report/beside.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/beside.log",
    benchmark:
        f"{RESULTS}/benchmarks/beside.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        table="beside",
        code=code("flexifed.analysis.beside"),
        published=PUBLISHED,
    script:
        "../scripts/table.py"
