# Needs: the collected cells, and Table 1 for what may be set beside the paper.
# Leaves: the paper's headline claims from our curves, what each line costs, and the metric against bytes as a figure.
# A stage of its own, because the rule for when a curve reaches a target is ours and may change without the tables.


rule headline:
    input:
        cells=f"{RESULTS}/cells.parquet",
        table1=f"{TABLES}/table1.csv",
    output:
        csv=report(f"{TABLES}/headline.csv", caption="../report/headline.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/headline.log",
    benchmark:
        f"{RESULTS}/benchmarks/headline.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        final=final_rules(),
        table="headline",
        code=code("flexifed.analysis.headline"),
        published=PUBLISHED,
    script:
        "../scripts/table.py"


rule costs:
    input:
        cells=f"{RESULTS}/cells.parquet",
        runs=f"{RESULTS}/runs.parquet",
        table1=f"{TABLES}/table1.csv",
    output:
        csv=report(f"{TABLES}/costs.csv", caption="../report/costs.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/costs.log",
    benchmark:
        f"{RESULTS}/benchmarks/costs.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        table="costs",
        code=code("flexifed.analysis.costs"),
    script:
        "../scripts/table.py"


rule costs_figure:
    input:
        cells=f"{RESULTS}/cells.parquet",
        costs=f"{TABLES}/costs.csv",
    output:
        png=report(f"{COSTS}.png", caption="../report/costs_figure.rst", category="Tables"),
        svg=f"{COSTS}.svg",
    log:
        f"{RESULTS}/logs/figures/costs.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/costs.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="costs",
        code=code("flexifed.figures.costs"),
    script:
        "../scripts/figure.py"
