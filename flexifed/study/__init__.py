"""A study's configuration, and one cell of it without Snakemake."""
