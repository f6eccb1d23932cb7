"""Deal samples to clients: adapter between the rule and flexifed.data.partition."""

from pathlib import Path

from flexifed.data.partition import partition
from flexifed.settings import protocol
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    partition(
        Path(snakemake.input.card).parent,
        protocol.from_dict(protocol.Partition, snakemake.params.settings),
        clients=snakemake.params.clients,
        test_set=snakemake.params.test_set,
        seed=int(snakemake.wildcards.seed),
        out=Path(snakemake.output[0]),
    )
