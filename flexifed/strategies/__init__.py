"""Strategies: one file each, one function each, from the clients' prefix tree to the groups that average a layer.

`groups(tree)` sees architectures only. It may yield groups of a single client; `flexifed.sharing.plan` leaves them out.
"""
