"""Availability out of a trace in FedScale's format, of real phones (Yang et al., WWW 2021; Lai et al., ICML 2022).

The file is JSON: an object with an entry for each device, ``{"active": [...], "inactive": [...], "finish_time": ...}``.
It is available from each time in `active` to the one beside it in `inactive`, in seconds, and again after
`finish_time`; other keys (`duration`, `model`) are not read. FedScale publishes it as a pickle
(`benchmark/dataset/data/device_info/client_behave_trace`), which is refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flexifed.devices.availability._spells import tidy
from flexifed.devices.fleet import Seconds, Spells
from flexifed.devices.sources import refuse_pickle
from flexifed.system import files
from flexifed.system.errors import UserError

ALLOWED: dict[str, tuple[str, ...]] = {"file": ()}

CONVERT = "import json, pickle; json.dump(pickle.load(open('{path}', 'rb')), open('{path}.json', 'w'), default=float)"


def spells(
    clients: int, rng: np.random.Generator, *, file: str = "local-data/devices/client_behave_trace.json"
) -> Spells:
    """Give each client the trace of a device, drawn at random; none is given again before all have been.

    The period is the longest `finish_time`; a device with a shorter one repeats its own until then.

    Args:
        clients: number of clients.
        rng: of the devices' availability.
        file: the trace, from the folder in which the pipeline is started.

    Raises:
        UserError: it is not there, is a pickle or no JSON, holds no device, or an entry that is not as above; the entry
            is named.
    """
    path = Path(file)
    refuse_pickle(path, CONVERT)
    entries = files.read_object(path)
    if not entries:
        raise UserError(f"{path} holds no device.")
    traces = [_trace(f"{path}, device {name}", entry) for name, entry in entries.items()]
    period = max(finish for _, _, finish in traces)
    drawn = rng.permutation(len(traces))[np.arange(clients) % len(traces)]
    pairs = [_repeated(traces[i], period) for i in drawn]
    return Spells(period, [start for start, _ in pairs], [stop for _, stop in pairs])


def _trace(where: str, entry: Any) -> tuple[Seconds, Seconds, float]:
    """Starts, ends and period of one device."""
    if not isinstance(entry, Mapping):
        raise UserError(f"{where}: expected an object, got {type(entry).__name__}.")
    starts, ends = (_numbers(where, key, entry.get(key)) for key in ("active", "inactive"))
    (finish,) = _numbers(where, "finish_time", [entry.get("finish_time")])
    if finish <= 0:
        raise UserError(f"{where}: finish_time is {finish:g}, expected seconds above 0.")
    if len(starts) != len(ends):
        raise UserError(f"{where}: {len(starts)} times in `active` and {len(ends)} in `inactive`, expected as many.")
    if (np.diff(np.stack([starts, ends], axis=1).ravel(), prepend=0.0) < 0).any():
        raise UserError(f"{where}: the times in `active` and `inactive`, in turn, do not ascend from 0.")
    return starts, ends, float(finish)


def _numbers(where: str, key: str, values: Any) -> Seconds:
    if isinstance(values, list) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        found = np.array(values, np.float64)
        if np.isfinite(found).all():
            return found
    raise UserError(f"{where}: {key} must be in seconds, got {values!r}.")


def _repeated(trace: tuple[Seconds, Seconds, float], period: float) -> tuple[Seconds, Seconds]:
    """A device's own period, cut at its end, again and again until the common one ends."""
    starts, ends, finish = trace
    before = finish * np.arange(np.ceil(period / finish))[:, None]
    begin, end = ((before + np.minimum(times, finish)).ravel() for times in (starts, ends))
    return tidy(np.minimum(begin, period), np.minimum(end, period), period)
