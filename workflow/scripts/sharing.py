"""Draw who shares which layer: adapter between the rule and flexifed.figures."""

from pathlib import Path

from flexifed import figures, logs

with logs.to(snakemake.log[0]):
    figures.write_sharing(
        [Path(path) for path in snakemake.input.plans],
        Path(snakemake.output.svg).with_suffix(""),
    )
