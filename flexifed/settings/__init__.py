"""What a cell is: its name, its settings, the names of plugins, random streams, and the digest of its code."""
