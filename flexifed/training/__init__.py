"""A federation and its rounds: clients, weights, averaging, history, checkpoints, and one cell from files to result."""
