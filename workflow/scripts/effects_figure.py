"""Draw the effects of a study: adapter between the rule and flexifed.effects_figure."""

from pathlib import Path

from flexifed import effects_figure, logs

with logs.to(snakemake.log[0]):
    effects_figure.write(
        Path(snakemake.input.effects),
        Path(snakemake.output.svg).with_suffix(""),
    )
