"""Where everything lands below `results/{study}/`: patterns for the workflow's wildcards and the command line."""

from collections.abc import Iterable
from pathlib import Path

from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Protocol

RESULTS = "results"

OWNER = "study.json"
"""The study file that the results are of."""
SOURCE = "data/{dataset}.source.json"
"""What was downloaded and verified, or which local copy is used."""
DATA = "data/{dataset}"
"""Prepared arrays and their card."""
PARTITION = "partitions/{dataset}/{protocol}/seed{seed}.parquet"
"""Which client holds which samples, the same for every family and strategy of a seed."""
PLAN = "plans/{family}/{strategy}/{protocol}.json"
"""Which clients average which layer."""
PLAN_OF_DATASET = "plans/{dataset}/{family}/{strategy}/{protocol}.json"
"""The same for protocols with budgets, since what clients can afford depends on the shape of samples."""
BUDGETS = "budgets/{dataset}/{family}/{protocol}.json"
"""Which member of the family each tier of clients holds, for every way to cut one; only of protocols with budgets."""
MASKS = "masks/{dataset}/{family}/{protocol}/seed{seed}.safetensors"
"""Which values of the family's largest version pruning has removed; only where a strategy cuts single values."""
DEVICES = "devices/{protocol}/seed{seed}.parquet"
"""What clients run on, the same for every data set, family and strategy of a seed; only of protocols with devices."""
CELL = "cells/{dataset}/{family}/{strategy}/{protocol}/seed{seed}"
"""`history.parquet` and `run.json` of one training run, and, where the study keeps them, its models."""
TENSORBOARD = "tensorboard/{dataset}/{family}/{strategy}/{protocol}/seed{seed}"
"""Event files of one training run, where the study asks for a live view."""
MODELS = "models"
"""Folder of the kept models in a cell's folder."""


OVERVIEW_PANELS = 8
"""Panels of an overview at most; more are too small to compare, or too many for a page."""


def cell_files(keep_models: str = "none") -> tuple[str, ...]:
    """What the folder of a finished cell holds: history, record, and the index of the kept models, if any."""
    models = () if keep_models == "none" else (f"{MODELS}/{keep_models}.json",)
    return ("history.parquet", "run.json", *models)


def plan(protocol: Protocol) -> str:
    """The pattern of a protocol's plans."""
    return PLAN_OF_DATASET if protocol.budgets else PLAN


def study_folder(study: str) -> Path:
    """Folder of a study's results, relative to the working directory."""
    return Path(RESULTS) / study


def tensorboard(study: str, cell: Cell, wanted: bool) -> Path | None:
    """Folder of a cell's live view; None where none is wanted."""
    return study_folder(study) / TENSORBOARD.format(**vars(cell)) if wanted else None


def has_overview(cells: Iterable[Cell]) -> bool:
    """Whether a study's convergence is drawn in one figure as well: where its blocks are not too many panels."""
    return len({(cell.dataset, cell.family, cell.protocol) for cell in cells}) <= OVERVIEW_PANELS


def tests_everybody(protocol: Protocol) -> bool:
    """Whether every client is tested on its own samples, so that fairness among clients can be told."""
    return protocol.tested == "all" and protocol.test_set == "shard"


def has_fairness(protocols: Iterable[Protocol]) -> bool:
    """Whether a study with these protocols has `tables/fairness.csv`."""
    return any(map(tests_everybody, protocols))


def has_budgets(protocols: Iterable[Protocol]) -> bool:
    """Whether clients of a study with these protocols have budgets, so that it has `tables/elastic.csv`."""
    return any(protocol.budgets is not None for protocol in protocols)


def has_clock(protocols: Iterable[Protocol]) -> bool:
    """Whether a study with these protocols counts simulated seconds, and so has `tables/seconds.csv`."""
    return any(protocol.devices is not None for protocol in protocols)
