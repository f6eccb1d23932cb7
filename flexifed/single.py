"""One cell from nothing to its history, without Snakemake, into the places where the workflow looks."""

import logging
from pathlib import Path

from flexifed import files, layout, registry
from flexifed.config import Study
from flexifed.job import Job
from flexifed.progress import rounds

log = logging.getLogger("flexifed")


def run(study: Study, job: Job, device: str | None = None) -> Path:
    """Run what is missing before the cell, then the cell itself, even where it has been run before.

    Returns:
        The cell's folder, with `history.parquet` and `run.json`.

    Raises:
        UserError: as the stages do.
    """
    root = layout.study_folder(study.study)
    names = {name: str(value) for name, value in vars(job.cell).items()}
    prepared, partition_file, plan_file, out = (
        root / pattern.format(**names) for pattern in (layout.DATA, layout.PARTITION, layout.PLAN, layout.CELL)
    )
    _prepare(study, job.cell.dataset, root / layout.SOURCE.format(**names), prepared)
    _partition(job, prepared, partition_file)
    _plan(job, plan_file)

    import torch  # only now: the stages above do not need it

    from flexifed.federation import run_cell

    with rounds(str(job.cell), job.protocol.rounds) as progress:
        run_cell(
            job,
            prepared=prepared,
            partition_file=partition_file,
            plan_file=plan_file,
            out=out,
            progress=progress,
            device=torch.device(device) if device else None,
        )
    return out


def _prepare(study: Study, dataset: str, receipt: Path, out: Path) -> None:
    from flexifed.download import download
    from flexifed.prepare import prepare

    settings = study.dataset(dataset)
    options = registry.keywords("dataset", dataset, "prepare") | settings.options
    if (out / "card.json").exists() and files.read_json(out / "card.json")["options"] == options:
        return
    local = Path(settings.local) if settings.local else None
    download(dataset, local=local, archives=study.archives(dataset), downloads=Path(study.downloads), receipt=receipt)
    prepare(dataset, receipt=receipt, options=settings.options, out=out)


def _partition(job: Job, prepared: Path, out: Path) -> None:
    from flexifed.partition import partition

    protocol = job.protocol
    partition(
        prepared,
        protocol.partition,
        clients=protocol.clients,
        test_set=protocol.test_set,
        seed=job.cell.seed,
        out=out,
    )


def _plan(job: Job, out: Path) -> None:
    from flexifed import plan, planning

    versions, classifier = job.protocol.client_versions(), job.protocol.classifier
    made = planning.for_family(
        job.cell.family, job.cell.strategy, versions=versions, classifier=classifier, options=job.family_options
    )
    plan.write(made, out)
