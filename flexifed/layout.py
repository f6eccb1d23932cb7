"""Where everything lands below `results/{study}/`: patterns for the workflow's wildcards and the command line."""

from pathlib import Path

RESULTS = "results"

SOURCE = "data/{dataset}.source.json"
"""What was downloaded and verified, or which local copy is used."""
DATA = "data/{dataset}"
"""Prepared arrays and their card."""
PARTITION = "partitions/{dataset}/{protocol}/seed{seed}.parquet"
"""Which client holds which samples, the same for every family and strategy of a seed."""
PLAN = "plans/{family}/{strategy}/{protocol}.json"
"""Which clients average which layer."""
CELL = "cells/{dataset}/{family}/{strategy}/{protocol}/seed{seed}"
"""`history.parquet` and `run.json` of one training run."""


def study_folder(study: str) -> Path:
    """Folder of a study's results, relative to the working directory."""
    return Path(RESULTS) / study
