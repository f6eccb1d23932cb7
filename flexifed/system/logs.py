"""Log of one job: lines to its file and to standard error, uncaught errors into the file as well."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flexifed.system.errors import UserError
from flexifed.system.interruption import EXIT_CODE, Interrupted

log = logging.getLogger("flexifed")


def to_stderr() -> None:
    """Show the package's messages on standard error."""
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)


@contextmanager
def to(path: str | Path) -> Iterator[None]:
    """Log to a file and to standard error while the block runs.

    A `UserError` ends the process with code 1 and its text alone, an interrupted run ends it with code 75; of any other
    exception the file gets the traceback.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    to_stderr()
    handler = logging.FileHandler(path, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    try:
        yield
    except UserError as error:
        log.error("%s", error)
        sys.exit(1)
    except Interrupted as interrupted:
        log.warning("%s", interrupted)
        sys.exit(EXIT_CODE)
    except BaseException:
        handler.handle(logging.LogRecord("flexifed", logging.ERROR, "", 0, "uncaught error", (), sys.exc_info()))
        raise
    finally:
        handler.close()
