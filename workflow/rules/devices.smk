# Needs: the protocol, and the tables that its devices are drawn from, if any.
# Leaves: a parquet file: how fast each client's device is, and when it is available.
# A stage of its own, so that every data set, family and strategy of a seed meets the same devices.


rule devices:
    input:
        tables_of_devices,
    output:
        DEVICES,
    log:
        f"{RESULTS}/logs/{layout.DEVICES}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.DEVICES}.tsv"
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        settings=lambda wildcards: dataclasses.asdict(devices_of(wildcards)),
        clients=lambda wildcards: protocol_of(wildcards).clients,
        wanted=lambda wildcards: protocol_of(wildcards).cohort_size(),
        code=lambda wildcards: devices_code(devices_of(wildcards)),
    script:
        "../scripts/devices.py"
