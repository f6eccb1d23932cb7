# Needs: labels (and speakers) of the prepared data set, never its samples.
# Leaves: a parquet file: which client holds which samples in which order.
# A stage of its own, so that every family and strategy of a seed is trained on the same partition, byte for byte.


rule partition:
    input:
        card=f"{DATA}/card.json",
        labels=[ancient(f"{DATA}/{name}") for name in ("train.parquet", "test.parquet")],
    output:
        PARTITION,
    log:
        f"{RESULTS}/logs/{layout.PARTITION}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.PARTITION}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        settings=lambda wildcards: dataclasses.asdict(protocol_of(wildcards).partition),
        clients=lambda wildcards: protocol_of(wildcards).clients,
        test_set=lambda wildcards: protocol_of(wildcards).test_set,
        code=partitioner_code,
    script:
        "../scripts/partition.py"
