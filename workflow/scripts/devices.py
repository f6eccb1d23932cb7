"""Draw the devices of a protocol: adapter between the rule and flexifed.devices."""

from pathlib import Path

from flexifed.settings import protocol
from flexifed.study import single
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    single.make_devices(
        protocol.from_dict(protocol.Devices, snakemake.params.settings),
        clients=snakemake.params.clients,
        wanted=snakemake.params.wanted,
        seed=int(snakemake.wildcards.seed),
        out=Path(snakemake.output[0]),
    )
