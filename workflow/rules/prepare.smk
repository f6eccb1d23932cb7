# Needs: the receipt of the download (or of the local copy).
# Leaves: typed arrays, labels and a card with their digests.
# A stage of its own, because decoding is slow and every partition and cell of the data set uses the same arrays.


rule prepare:
    input:
        receipt=SOURCE,
    output:
        card=f"{DATA}/card.json",
        arrays=ARRAYS,
    log:
        f"{RESULTS}/logs/{layout.DATA}.prepare.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.DATA}.prepare.tsv"
    conda:
        "../../envs/flexifed.yaml"
    # Enough: unpacking the archive, which one thread does, takes longer than the clips then.
    threads: 4
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        options=lambda wildcards: STUDY.dataset(wildcards.dataset).options,
        code=code(
            "flexifed.data.prepare:prepare", "flexifed.datasets.{dataset}:prepare", "flexifed.datasets.{dataset}:KIND"
        ),
    script:
        "../scripts/prepare.py"
