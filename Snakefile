"""The way in: the workflow itself, and where everything lands, is in `workflow/Snakefile`."""


include: "workflow/Snakefile"


# Snakemake takes no default target from what is included.
workflow.default_target = "all"
