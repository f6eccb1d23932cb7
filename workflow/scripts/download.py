"""Download one data set's archives: adapter between the rule and flexifed.data.download."""

from pathlib import Path

from flexifed.data.download import download
from flexifed.study import config
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    study = config.parse(snakemake.config)
    dataset = snakemake.wildcards.dataset
    download(
        dataset,
        local=Path(snakemake.params.local) if snakemake.params.local else None,
        archives=study.archives(dataset),
        downloads=Path(study.downloads),
        receipt=Path(snakemake.output.receipt),
    )
