# Needs: the long table and Table 1; partitions; plans; tables of budgets.
# Leaves: each figure as PNG and SVG.
# One rule per kind of figure: a figure is a function of one or two files.


rule convergence:
    input:
        cells=f"{RESULTS}/cells.parquet",
        table1=f"{TABLES}/table1.csv",
    output:
        png=report(f"{CONVERGENCE}.png", caption="../report/convergence.rst", category="Convergence"),
        svg=f"{CONVERGENCE}.svg",
    log:
        f"{RESULTS}/logs/figures/convergence.{{dataset}}.{{family}}.{{protocol}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/convergence.{{dataset}}.{{family}}.{{protocol}}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="convergence",
        code=code("flexifed.figures.convergence"),
    script:
        "../scripts/figure.py"


rule final_numbers:
    input:
        table1=f"{TABLES}/table1.csv",
    output:
        png=report(f"{FINAL_NUMBERS}.png", caption="../report/final_numbers.rst", category="Tables"),
        svg=f"{FINAL_NUMBERS}.svg",
    log:
        f"{RESULTS}/logs/figures/final_numbers.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/final_numbers.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="final_numbers",
        code=code("flexifed.figures.final_numbers"),
    script:
        "../scripts/figure.py"


rule class_mix:
    input:
        partition=PARTITION,
        card=f"{DATA}/card.json",
        labels=[ancient(f"{DATA}/{name}") for name in ("train.parquet", "test.parquet")],
    output:
        png=report(f"{CLASS_MIX}.png", caption="../report/class_mix.rst", category="Class mixes"),
        svg=f"{CLASS_MIX}.svg",
    log:
        f"{RESULTS}/logs/figures/class_mix.{{dataset}}.{{protocol}}.seed{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/class_mix.{{dataset}}.{{protocol}}.seed{{seed}}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        code=code("flexifed.figures.class_mix"),
    script:
        "../scripts/class_mix.py"


rule sharing:
    input:
        plans=plans_of,
    output:
        png=report(f"{SHARING}.png", caption="../report/sharing.rst", category="Who shares which layer"),
        svg=f"{SHARING}.svg",
    log:
        f"{RESULTS}/logs/figures/sharing.{{family}}.{{protocol}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/sharing.{{family}}.{{protocol}}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        code=code("flexifed.figures.sharing"),
    script:
        "../scripts/sharing.py"


rule budgets_figure:
    input:
        BUDGETS,
    output:
        png=report(f"{BUDGETS_FIGURE}.png", caption="../report/budgets.rst", category="Budgets"),
        svg=f"{BUDGETS_FIGURE}.svg",
    log:
        f"{RESULTS}/logs/figures/budgets.{{dataset}}.{{family}}.{{protocol}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/budgets.{{dataset}}.{{family}}.{{protocol}}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="budgets",
        code=code("flexifed.figures.budgets"),
    script:
        "../scripts/figure.py"
