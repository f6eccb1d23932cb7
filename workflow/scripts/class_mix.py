"""Draw the clients' class mixes: adapter between the rule and flexifed.figures.class_mix."""

from pathlib import Path

from flexifed.figures import class_mix
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    class_mix.write(
        Path(snakemake.input.partition),
        Path(snakemake.input.card).parent,
        Path(snakemake.output.svg).with_suffix(""),
    )
