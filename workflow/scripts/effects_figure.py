"""Draw the effects of a study: adapter between the rule and flexifed.figures.effects."""

from pathlib import Path

from flexifed.figures import effects
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    effects.write(
        Path(snakemake.input.effects),
        Path(snakemake.output.svg).with_suffix(""),
    )
