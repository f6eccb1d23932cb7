"""Make one table of budgets: adapter between the rule and flexifed.elastic.budgets."""

from pathlib import Path

from flexifed.data import samples
from flexifed.elastic import budgets
from flexifed.settings.protocol import Protocol, from_dict
from flexifed.system import logs

with logs.to(snakemake.log[0]):
    card = samples.read_card(Path(snakemake.input[0]).parent)
    table = budgets.look_up(
        snakemake.wildcards.family,
        tuple(card["shape"]),
        len(card["classes"]),
        dict(snakemake.params.options),
        from_dict(Protocol, snakemake.params.protocol),
    )
    budgets.write(table, Path(snakemake.output[0]))
