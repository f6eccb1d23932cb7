"""Draw the errors against published numbers: adapter between the rule and flexifed.figures.errors."""

from pathlib import Path

from flexifed.figures import errors
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    errors.write(
        Path(snakemake.input.errors),
        Path(snakemake.output.svg).with_suffix(""),
    )
