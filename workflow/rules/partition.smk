# Needs: labels (and speakers) of the prepared data set, never its samples.
# Leaves: a parquet file: which client holds which samples in which order.
# A stage of its own, so that every family and strategy of a seed is trained on the same partition, byte for byte.


def partition_protocol(wildcards):
    return STUDY.protocol(wildcards.protocol, wildcards.dataset)


def partition_code(wildcards):
    partitioner = partition_protocol(wildcards).partition.partitioner
    return codedigest.digest("flexifed.partition", f"flexifed.partitioners.{partitioner}")


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
    conda:
        "../../envs/flexifed.yaml"
    params:
        settings=lambda wildcards: dataclasses.asdict(partition_protocol(wildcards).partition),
        clients=lambda wildcards: partition_protocol(wildcards).clients,
        test_set=lambda wildcards: partition_protocol(wildcards).test_set,
        code=partition_code,
    script:
        "../scripts/partition.py"
