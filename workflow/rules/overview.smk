# Needs: the long table and Table 1.
# Leaves: the convergence of the whole study in one figure, a panel per block. Asked for where the blocks fit into one.
# A file of its own, because it is a figure of the whole study where those of figures.smk are of a part.


localrules:
    overview,


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
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="overview",
        code=code("flexifed.figures.overview"),
    script:
        "../scripts/figure.py"
