"""Kept models as files: safetensors with a card each, written when a run has ended; and back into modules.

The folder `models/` of a cell holds, beside the models, an index `final.json` or `best.json`: of which run and round
they are, and which client holds which. Clients whose weights are equal share a file, named after the first of them.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from flexifed import models
from flexifed.data import partition, samples
from flexifed.settings import layout, registry
from flexifed.system import files
from flexifed.system.errors import UserError
from flexifed.training import modelcards
from flexifed.training.keeping import Keeper, Kept
from flexifed.training.modelcards import Origin


def write(folder: Path, keeper: Keeper, origin: Origin) -> None:
    """Write what a run has kept, complete or not at all, in place of the models that were there.

    Raises:
        UserError: the file system refuses.
    """
    with _replacing(folder) as partial:
        named: dict[int, str] = {}
        for clients in holders(keeper):
            file = partial / f"client{clients[0]:03}.safetensors"
            # Clones, because the library takes no tensors that are views of one vector.
            file.write_bytes(save({k: t.clone() for k, t in keeper.weights[clients[0]].state().items()}))
            card = {**modelcards.card(origin, keeper, clients, folder), "file": file.name, "sha256": files.digest(file)}
            files.write_json(file.with_suffix(".json"), card)
            named |= dict.fromkeys(clients, file.name)
        index = {**modelcards.run(origin, keeper), "models": {str(client): named[client] for client in sorted(named)}}
        files.write_json(partial / f"{keeper.kept}.json", index)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block ends well, and goes when it does not."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
    with files.writing(folder):
        try:
            partial.mkdir(parents=True)
            yield partial
            remove(folder)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove the models of an earlier run, if any."""
    if folder.exists():
        shutil.rmtree(folder)


def holders(keeper: Keeper) -> list[list[int]]:
    """The clients by the weights that they hold: in each list those of one version with equal numbers.

    Counters of batches do not count: nothing computes with them, and nothing averages them.
    """
    found: list[list[int]] = []
    versions = {client: keeper.federation.clients[client].version for client in keeper.weights}
    for client, mine in sorted(keeper.weights.items()):
        for same in found:
            if versions[same[0]] == versions[client] and torch.equal(keeper.weights[same[0]].values, mine.values):
                same.append(client)
                break
        else:
            found.append([client])
    return found


def load_model(path: str | Path, client: int | None = None) -> nn.Module:
    """A kept model, ready for use.

    Args:
        path: a model's file (`.safetensors`, its card `.json` beside it), or a folder of models, or of a cell.
        client: in a folder, whose model it is to be; needed where it holds several.

    Returns:
        The model in eval mode on the CPU, float32. Its input and its classes are described by the card.

    Raises:
        UserError: there is no such model, its file is not what the card says, or today's code builds another one.
    """
    file = _file(Path(path), client)
    card = _card(file)
    if files.digest(file) != card["sha256"]:
        raise UserError(f"{file} is not the file that its card describes: it is damaged, or another one. Keep it anew.")
    what, shape, classes = card["model"], tuple(card["input"]["shape"]), len(card["data"]["classes"])
    model = models.build_empty(what["family"], what["version"], shape, classes, what["options"])
    try:
        model.load_state_dict(load_file(file))
    except RuntimeError as error:
        raise UserError(
            f"{file}: the code of {what['family']} builds another model today ({str(error).splitlines()[0]}); "
            f"use the code of the commit on its card."
        ) from error
    return model.eval()


def tested_on(path: str | Path, client: int) -> tuple[Tensor, Tensor]:
    """The samples that a client's kept model was tested on, as the model takes them.

    Args:
        path: a folder of models, or of a cell, in the study that trained it: its prepared data and its partition are
            read.
        client: number of the client.

    Returns:
        Inputs, float32 `[N, C, H, W]` or int64 `[N, L]`, normalised; and labels, int64 `[N]`.

    Raises:
        UserError: there is no such model, or data or partition are not there or are others than then.
    """
    file = _file(Path(path), client)
    card = _card(file)
    place = card["tested_on"]
    prepared, partition_file = file.parent / place["prepared"], file.parent / place["partition"]
    same_data = samples.read_card(prepared)["digests"] == card["data"]["digests"]
    if not same_data or files.digest(partition_file) != place["partition_sha256"]:
        what = "partition" if same_data else "data set"
        raise UserError(f"{file}: its {what} has been made anew since, and is another one. Train the cell again.")
    split, indices = samples.read(prepared, "test"), partition.read(partition_file)[client].test
    transform = registry.load("dataset", card["data"]["dataset"]).TRANSFORM
    return transform.test(torch.from_numpy(split.samples[indices])), torch.from_numpy(split.labels[indices])


def _file(path: Path, client: int | None) -> Path:
    """The file of a client's model."""
    if path.suffix == ".safetensors":
        return path
    folder = path if path.name == layout.MODELS else path / layout.MODELS
    found = [folder / f"{kept}.json" for kept in get_args(Kept) if (folder / f"{kept}.json").is_file()]
    if not found:
        raise UserError(f"{path} holds no kept models: its study has no `keep_models`, or the cell is not done.")
    names = files.read_object(found[0])["models"]
    if client is None and len(set(names.values())) == 1:
        client = int(next(iter(names)))
    if str(client) not in names:
        listed = ", ".join(f"{number} ({name})" for number, name in names.items())
        raise UserError(f"{folder}: say the client whose model it is to be: {listed}.")
    return folder / str(names[str(client)])


def _card(file: Path) -> dict[str, Any]:
    card = files.read_object(file.with_suffix(".json"))
    if not file.is_file():
        raise UserError(f"{file}: No such file or directory.")
    return card
