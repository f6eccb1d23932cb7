"""Draw a figure: adapter between a rule and the module of `flexifed.figures` that it names.

The module's `write` takes the rule's inputs in their order, the figure's path without its suffix, and the wildcards.
"""

from importlib import import_module
from pathlib import Path

from flexifed.system import logs

with logs.to(snakemake.log[0]):
    figure = import_module(f"flexifed.figures.{snakemake.params.figure}")
    figure.write(
        *map(Path, snakemake.input), Path(snakemake.output.svg).with_suffix(""), **dict(snakemake.wildcards.items())
    )
