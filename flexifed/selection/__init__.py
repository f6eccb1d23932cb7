"""Who is invited to a round, given what the server knows: clients' sizes, last losses, durations, who is available.

`selector` is the interface; the round loop asks a selector to choose and tells it what came of its choice. Nothing here
knows models, strategies, devices or the round loop.
"""
