# Needs: the collected cells, and Table 1 for its notes. Included only where the study names effects.
# Leaves: what each factor does to each strategy, as CSV, Markdown and one figure.
# A stage of its own, because effects may be named and read in other ways without any training.


rule effects:
    input:
        cells=f"{RESULTS}/cells.parquet",
        table1=f"{TABLES}/table1.csv",
    output:
        csv=report(f"{TABLES}/effects.csv", caption="../report/effects.rst", category="Tables"),
        md=f"{TABLES}/effects.md",
        by_seed=f"{TABLES}/effects_by_seed.csv",
    log:
        f"{RESULTS}/logs/effects.log",
    benchmark:
        f"{RESULTS}/benchmarks/effects.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        effects=[effect.model_dump() for effect in STUDY.effects],
        final=final_rules(),
        code=code("flexifed.analysis.effects"),
    script:
        "../scripts/effects.py"


rule effects_figure:
    input:
        effects=f"{TABLES}/effects.csv",
    output:
        png=report(f"{EFFECTS}.png", caption="../report/effects_figure.rst", category="Tables"),
        svg=f"{EFFECTS}.svg",
    log:
        f"{RESULTS}/logs/figures/effects.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/effects.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="effects",
        code=code("flexifed.figures.effects"),
    script:
        "../scripts/figure.py"
