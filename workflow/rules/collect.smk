# Needs: every cell of the study; with `--config partial=true` those that are there.
# Leaves: one long table of histories and one table of run records.
# A stage of its own, so that tables and figures read two files, not hundreds.


rule collect:
    input:
        histories=of_cells(f"{CELL}/history.parquet", COLLECTED),
        records=of_cells(f"{CELL}/run.json", COLLECTED),
    output:
        cells=f"{RESULTS}/cells.parquet",
        runs=f"{RESULTS}/runs.parquet",
    log:
        f"{RESULTS}/logs/collect.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        code=code("flexifed.analysis.collect"),
    script:
        "../scripts/collect.py"
