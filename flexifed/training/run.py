"""One cell from its files to its result: goes on from a checkpoint, leaves checkpoints, records where it comes from."""

import dataclasses
import importlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flexifed.data import samples
from flexifed.elastic import costs
from flexifed.settings import layout, registry
from flexifed.settings.job import CHECKPOINT_MINUTES, Job, KeepModels
from flexifed.system import files, locks, provenance
from flexifed.system.errors import UserError
from flexifed.system.interruption import Interrupted, noticed
from flexifed.system.progress import RoundProgress
from flexifed.training import federation, initial, live, precision, rounds
from flexifed.training.checkpoint import Checkpoints, Saved, Session
from flexifed.training.engine import Engine, Federation, Steps
from flexifed.training.history import History
from flexifed.training.keeping import Keeper, measured
from flexifed.training.weights import Weights

log = logging.getLogger("flexifed")

FAILED = "failed.json"
"""Beside a cell's results: how a run ended that would end so again."""


@dataclass(frozen=True)
class Inputs:
    """The files that a cell is trained from.

    Attributes:
        prepared: folder of the prepared data set.
        partition_file: which client holds which samples.
        plan_file: which clients average which layer.
        devices_file: what clients run on; None where the protocol has no devices.
        masks_file: which values of the family's largest version exist; None where all do.
    """

    prepared: Path
    partition_file: Path
    plan_file: Path
    devices_file: Path | None = None
    masks_file: Path | None = None


class Clock:
    """This process's share of a run, as it stands."""

    def __init__(self, first: int, device: torch.device) -> None:
        self.first = first
        self.device = device
        self.started = datetime.now(UTC)
        self.zero = time.monotonic()

    def session(self) -> Session:
        """The share up to now."""
        started, seconds = self.started.isoformat(timespec="seconds"), round(time.monotonic() - self.zero, 1)
        return Session(self.first, started, provenance.device_name(self.device), seconds)


def run_cell(
    job: Job,
    inputs: Inputs,
    out: Path,
    progress: RoundProgress,
    *,
    device: torch.device | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    failed_history: Path | None = None,
    keep_models: KeepModels = "none",
    study: str = "",
    tensorboard: Path | None = None,
) -> None:
    """Train one cell and write `history.parquet`, the models to keep and, last, `run.json` into the folder `out`.

    Continues from a checkpoint in `out/checkpoints` where there is one of the same run.

    Args:
        job: the cell and its settings.
        inputs: what it is trained from.
        out: folder to write to; created.
        progress: called after every round.
        device: by default a GPU if there is one.
        checkpoint_minutes: at least so long between two checkpoints; 0 for one after every round.
        failed_history: where to keep the history of a run that fails.
        keep_models: which models to leave in `out/models`, see `KeepModels`.
        study: its name, for the cards of the models.
        tensorboard: folder for a live view, see `flexifed.training.live`; None for none.

    Raises:
        UserError: a client's training loss is not finite, memory was not enough, another process trains this cell, or
            there is no package for the live view.
        Interrupted: a signal asked the run to stop; it has left a checkpoint.
    """
    with locks.alone(out / ".lock", f"training of {job.cell}"):
        device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)
        log.info("%s on %s", job.cell, provenance.device_name(device))
        f = federation.assemble(
            job,
            inputs.prepared,
            inputs.partition_file,
            inputs.plan_file,
            device,
            inputs.devices_file,
            inputs.masks_file,
        )
        digests = _digests(job, inputs, f)
        identity = _identity(job, inputs, digests)
        _check_has_not_failed(out / FAILED, identity)
        keeper = _keeper(f, keep_models)
        checkpoints = _checkpoints(out, identity, checkpoint_minutes, f, keeper)
        saved = checkpoints.restore() or Saved(0, History(), ())
        clock = Clock(saved.round + 1, device)
        try:
            with live.view(tensorboard, saved.history, saved.round) as show:
                steps = _train(job, f, saved, clock, checkpoints, _telling(f, show, progress), keeper)
        except UserError as error:
            if failed_history is not None:
                saved.history.write(failed_history)
            if isinstance(error, rounds.NotFinite):
                files.write_json(out / FAILED, {"error": str(error), "identity": identity})
            raise
        record = _record(job, inputs, f, digests, (*saved.sessions, clock.session()))
        saved.history.write(out / "history.parquet")
        _write_models(out / layout.MODELS, keeper, saved.history, record, job, inputs, study)
        files.write_json(out / "run.json", record | _of(steps))
        checkpoints.remove()
        (out / FAILED).unlink(missing_ok=True)


def _telling(f: Federation, show: Callable[[], None], progress: RoundProgress) -> RoundProgress:
    """Progress that is told simulated seconds, after the live view."""

    def tell(round_number: int, metric: float | None, seconds: float | None = None) -> None:
        show()
        clock = f.attendance.clock
        progress(round_number, metric, clock.now if clock else seconds)

    return tell


def _check_has_not_failed(path: Path, identity: Mapping[str, Any]) -> None:
    """Refuse to train again what a scheduler's retry would only bring to the same end.

    Raises:
        UserError: the same run has come to a loss that is not finite before.
    """
    if path.exists() and (failure := files.read_object(path)).get("identity") == identity:
        raise UserError(
            f"{failure.get('error')} The same settings, code and data came to this before, so nothing was trained; "
            f"change them, or remove {path} to try again."
        )


def _keeper(f: Federation, keep_models: KeepModels) -> Keeper | None:
    if keep_models == "none":
        return None
    importlib.import_module("safetensors")  # where it lacks, now and not after hours of training
    return Keeper(f, keep_models)


def _checkpoints(
    out: Path, identity: Mapping[str, Any], minutes: float, f: Federation, keeper: Keeper | None
) -> Checkpoints:
    """The cell's checkpoints; where its best models are kept, they hold the best so far, and say in which phase."""
    best = keeper if keeper and keeper.kept == "best" else None
    more = {"best models": best.phase} if best else {}
    return Checkpoints(out / "checkpoints", {**identity, **more}, minutes, f.server, f.attendance, best)


def _write_models(
    folder: Path,
    keeper: Keeper | None,
    history: History,
    record: Mapping[str, Any],
    job: Job,
    inputs: Inputs,
    study: str,
) -> None:
    """Write what is kept; models of an earlier run of the cell do not stay in any case."""
    if keeper is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    from flexifed.training import modelfiles  # needs safetensors, which machines without it can do without

    found = measured(history, keeper.phase, keeper.metric)
    reached = {client: value for (round_number, client), value in found.items() if round_number == keeper.round}
    origin = modelfiles.Origin(study, job, record, inputs.prepared, inputs.partition_file, reached)
    modelfiles.write(folder, keeper, origin)


def _train(
    job: Job,
    f: Federation,
    saved: Saved,
    clock: Clock,
    checkpoints: Checkpoints,
    progress: RoundProgress,
    keeper: Keeper | None,
) -> Steps:
    """The rounds that are left, with a checkpoint where one is due or a signal asks to stop; how steps were run."""
    with precision.applied(job.precision), noticed() as request:

        def after_round(round_number: int) -> None:
            if round_number < job.protocol.rounds and (request.name or checkpoints.due()):
                so_far = Saved(round_number, saved.history, (*saved.sessions, clock.session()))
                kept = checkpoints.save(so_far)
                if request.name:
                    lost = "" if kept else ", without a checkpoint of it (see the log)"
                    raise Interrupted(f"{job.cell}: stopped after round {round_number} by {request.name}{lost}")

        engine: Engine = registry.load("engine", job.engine).create(f)
        if keeper:
            keeper.go_on(saved.history)
        rounds.loop(f, engine, progress, saved.history, saved.round, after_round, keeper)
        steps: Steps = engine.steps
        return steps


def _digests(job: Job, inputs: Inputs, f: Federation) -> dict[str, str]:
    return {
        "partition": files.digest(inputs.partition_file),
        "plan": files.digest(inputs.plan_file),
        "initial_weights": initial.initial_digest(f),
        "code": job.code(),
        **({"devices": files.digest(inputs.devices_file)} if inputs.devices_file else {}),
        **({"masks": files.digest(inputs.masks_file)} if inputs.masks_file else {}),
    }


def _identity(job: Job, inputs: Inputs, digests: dict[str, str]) -> dict[str, Any]:
    """All that a checkpoint must agree with, as JSON gives it back."""
    data = samples.read_card(inputs.prepared)["digests"]
    identity = {"cell": dataclasses.asdict(job.cell), **job.settings(), "data": data, **digests}
    found: dict[str, Any] = json.loads(json.dumps(identity))
    return found


def _record(
    job: Job, inputs: Inputs, f: Federation, digests: dict[str, str], sessions: Sequence[Session]
) -> dict[str, Any]:
    return {
        "cell": dataclasses.asdict(job.cell),
        "settings": {**job.settings(), "protocol": dataclasses.asdict(job.protocol)},
        "data": samples.read_card(inputs.prepared),
        "digests": {**digests, "partition_code": job.partition_code()},
        "commit": provenance.commit(),
        "packages": provenance.packages(),
        "device": sessions[-1].device,
        "started": sessions[0].started,
        "seconds": round(sum(session.seconds for session in sessions), 1),
        "sessions": [dataclasses.asdict(session) for session in sessions],
        "bytes_per_round": _bytes_per_round(f),
        "parameters": {version: _n_parameters(model) for version, model in f.models.items()},
        **({"mask_bytes": {tier: _mask_bytes(mask) for tier, mask in f.masks.items()}} if f.masks else {}),
    }


def _of(steps: Steps) -> dict[str, Any]:
    """How the last process ran its steps, and what was wrong with them if anything was; older records say neither."""
    wrong = {"fell_back": steps.fell_back, "unlike_serial": steps.unlike_serial}
    return {"steps": steps.how} | {key: reason for key, reason in wrong.items() if reason}


def _n_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _mask_bytes(mask: Weights) -> int:
    """Of a tier's mask, which is sent once, before the first round."""
    tensors = [one for one in mask.state().values() if one.is_floating_point()]
    return costs.mask_bytes(sum(one.numel() for one in tensors), sum(int(one.sum()) for one in tensors))


def _bytes_per_round(f: Federation) -> list[dict[str, Any]]:
    """Of each client, in a round that it takes part in."""
    pairs = zip(f.clients, f.attendance.traffic, strict=True)
    return [{"client": c.id, "version": c.version, "up": n, "down": n} for c, n in pairs]
