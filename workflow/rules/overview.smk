# Needs: the long table and Table 1.
# Leaves: the metric and the training loss of the whole study by round, a panel per block. Asked for where the blocks fit into one figure.
# A file of its own, because these are figures of the whole study where those of figures.smk are of a part.


rule overview:
    input:
        cells=f"{RESULTS}/cells.parquet",
        table1=f"{TABLES}/table1.csv",
    output:
        png=report(f"{OVERVIEW}.png", caption="../report/overview.rst", category="Convergence"),
        svg=f"{OVERVIEW}.svg",
    log:
        f"{RESULTS}/logs/figures/overview.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/overview.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="overview",
        code=code("flexifed.figures.overview"),
    script:
        "../scripts/figure.py"


rule loss:
    input:
        cells=f"{RESULTS}/cells.parquet",
        table1=f"{TABLES}/table1.csv",
    output:
        png=report(f"{LOSS}.png", caption="../report/loss.rst", category="Convergence"),
        svg=f"{LOSS}.svg",
    log:
        f"{RESULTS}/logs/figures/loss.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/loss.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="loss",
        code=code("flexifed.figures.loss"),
    script:
        "../scripts/figure.py"
