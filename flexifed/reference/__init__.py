"""Reference results: a queue of cells worked on where there is no Snakemake, and what is rendered of them."""
