"""The devices of clients: how fast they are, when they are available, and the seconds that rounds take on them.

`fleet` holds what is known of them as one stored file, drawn by plugins of `capacity/` and `availability/`; `clock` is
the virtual clock. Nothing here knows models, strategies or the round loop.
"""
