"""Ways to train a federation's clients, one file each; what they have in common is `flexifed.training.engine`."""
