"""Strategies: one file each, with at most three functions, of which a file says only what it changes.

`groups(tree)` says which clients average which layer. It sees architectures only, and may yield groups of a single
client; `flexifed.sharing.plan` leaves them out. `server()` returns how uploads become the server's next value
(`flexifed.training.rules`), by default their mean. `objective()` returns what a participant minimises beside its loss
(`flexifed.training.objectives`), by default nothing. Their keyword-only parameters are the strategy's options, and
`ALLOWED` says what each may be. A strategy that averages whole models says `ONE_VERSION = True`.
"""
