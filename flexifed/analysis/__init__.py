"""From histories to numbers: the long tables, final numbers, statistics, and everything that is computed of them."""
