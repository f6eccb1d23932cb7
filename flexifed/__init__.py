"""FlexiFed (Wang et al., WWW 2023) as data, plans and cells. Nothing is imported here: start at `federation.py`."""
