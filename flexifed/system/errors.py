"""The one exception that is meant for the person who runs the pipeline."""


class UserError(ValueError):
    """Something the user can mend: it says what was wrong, where, what was expected and what to do.

    Commands print its text without a traceback and exit with code 2.
    """
