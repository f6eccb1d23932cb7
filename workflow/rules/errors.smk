# Needs: Table 1, and the run records for what stands against a comparison.
# Leaves: the error against every published number, per cell and in all, and one figure.
# A stage of its own, because what others publish, and what may be compared with it, changes without any training.


rule errors:
    input:
        table1=f"{TABLES}/table1.csv",
        runs=f"{RESULTS}/runs.parquet",
    output:
        cells=report(f"{TABLES}/errors.csv", caption="../report/errors.rst", category="Tables"),
        in_all=report(f"{TABLES}/errors_in_all.csv", caption="../report/errors_in_all.rst", category="Tables"),
    log:
        f"{RESULTS}/logs/errors.log",
    benchmark:
        f"{RESULTS}/benchmarks/errors.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        final=final_rules(),
        presets={name: STUDY.preset(name) for name in STUDY.protocols},
        code=code("flexifed.analysis.deviation"),
        published=PUBLISHED,
        protocols=digests("protocols/*.yaml"),
    script:
        "../scripts/errors.py"


rule errors_figure:
    input:
        errors=f"{TABLES}/errors.csv",
    output:
        png=report(f"{ERRORS}.png", caption="../report/errors_figure.rst", category="Tables"),
        svg=f"{ERRORS}.svg",
    log:
        f"{RESULTS}/logs/figures/errors.log",
    benchmark:
        f"{RESULTS}/benchmarks/figures/errors.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        figure="errors",
        code=code("flexifed.figures.errors"),
    script:
        "../scripts/figure.py"
