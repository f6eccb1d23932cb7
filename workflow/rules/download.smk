# Needs: the addresses and digests in flexifed/datasets/{dataset}.py, or a local copy named in the config.
# Leaves: verified archives in the downloads folder, and a receipt in the study.
# A stage of its own, because it alone needs the network and because archives are shared by all studies.


rule download:
    output:
        receipt=SOURCE,
    log:
        f"{RESULTS}/logs/{layout.DATA}.download.log",
    benchmark:
        f"{RESULTS}/benchmarks/{layout.DATA}.download.tsv"
    retries: 1
    localrule: True
    conda:
        "../../envs/flexifed.yaml"
    params:
        local=lambda wildcards: STUDY.dataset(wildcards.dataset).local,
        archives=archive_digests,
    script:
        "../scripts/download.py"
