# Needs: tables, figures, run records.
# Leaves: report.html, one self-contained page.
# A stage of its own, because words and layout change more often than numbers.


report: "../report/workflow.rst"


rule report_page:
    input:
        tables=rules.tables.output,
        errors=rules.errors.output,
        effects=rules.effects.output.csv if STUDY.effects else [],
        headline=rules.headline.output.csv,
        beside=rules.beside.output.csv,
        costs=rules.costs.output.csv,
        sweep=rules.sweep.output if STUDY.sweep else [],
        fairness=rules.fairness.output if layout.has_fairness(PROTOCOLS.values()) else [],
        seconds=rules.seconds.output if layout.has_clock(PROTOCOLS.values()) else [],
        elastic=rules.elastic.output if layout.has_budgets(PROTOCOLS.values()) else [],
        cells=f"{RESULTS}/cells.parquet",
        runs=f"{RESULTS}/runs.parquet",
        figures=[f"{stem}.{suffix}" for stem in figure_stems() for suffix in ("svg", "png")],
    output:
        f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        expected=EXPECTED,
        final=final_rules(),
        code=code("flexifed.report"),
        templates=digests("report/templates/*"),
    script:
        "../scripts/report_page.py"
