"""How a process ended, in words."""

import signal


def how_it_ended(code: int) -> str:
    """For a message, from an exit code as `subprocess` and `multiprocessing` give it: below zero for a signal.

    For example "killed by SIGSEGV" or "ended with exit code 3".
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-code}"
