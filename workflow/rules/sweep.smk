# Needs: the collected cells. Included only where the study names a sweep.
# Leaves: final numbers along the quantity that the study varies, its gains paired by seed, and one figure.
# A stage of its own, because a sweep may be named and read in other ways without any training.


rule sweep:
    input:
        cells=f"{RESULTS}/cells.parquet",
    output:
        csv=report(f"{TABLES}/sweep.csv", caption="../report/sweep.rst", category="Tables"),
        gains=report(f"{TABLES}/sweep_gains.csv", caption="../report/sweep_gains.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/sweep.log",
    benchmark:
        f"{RESULTS}/benchmarks/sweep.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        sweep=STUDY.sweep.model_dump(),
        final=final_rules(),
        code=code("flexifed.analysis.sweep"),
    script:
        "../scripts/sweep.py"


rule sweep_figure:
    input:
        sweep=f"{TABLES}/sweep.csv",
    output:
        png=report(f"{SWEEP}.png", caption="../report/sweep_figure.rst", category="Tables"),
        svg=f"{SWEEP}.svg",
    log:
        f"{RESULTS}/logs/figures/sweep.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/sweep.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="sweep",
        code=code("flexifed.figures.sweep"),
    script:
        "../scripts/figure.py"
