"""The board: every published number and claim, and what became of it here.

Everything is read from folders of reference results, their tables and their queues, and from `flexifed/published/`,
which says what systems, sources, numbers and claims there are.
"""
