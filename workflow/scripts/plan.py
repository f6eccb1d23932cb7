"""Make one plan: adapter between the rule and flexifed.sharing.plan."""

from pathlib import Path

from flexifed.sharing import plan, planning
from flexifed.system import logs

strategy, strategy_options = snakemake.params.strategy
with logs.to(snakemake.log[0]):
    the_plan = planning.for_family(
        snakemake.wildcards.family,
        strategy or snakemake.wildcards.strategy,
        versions=tuple(snakemake.params.versions),
        classifier=snakemake.params.classifier,
        common_layers=snakemake.params.common_layers,
        options=dict(snakemake.params.options),
        strategy_options=strategy_options,
    )
    plan.write(the_plan, Path(snakemake.output[0]))
