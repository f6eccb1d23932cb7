"""Commands that need no Snakemake: `python -m flexifed cell | job | run | plan | cells | bench | generate`."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flexifed import logs, registry
from flexifed.cell import Cell
from flexifed.errors import UserError
from flexifed.interruption import EXIT_CODE, Interrupted
from flexifed.protocol import Protocol

if TYPE_CHECKING:
    from flexifed.config import Study
    from flexifed.single import Run

DEFAULT_CONFIG = Path("config/config.yaml")
CONFIG: Any = {
    "type": Path,
    "action": "append",
    "help": f"the study (default: {DEFAULT_CONFIG}); given again, an overlay over what came before",
}
DEVICE = "cpu, cuda, cuda:1 ... (default: a GPU if there is one)"
FIELDS = tuple(field.name for field in dataclasses.fields(Cell))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flexifed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    for name, text in (
        ("cell", "run one cell of a study, with everything it needs"),
        ("job", "print one cell, resolved, as JSON: `run` runs it where a study cannot be read"),
    ):
        cell = commands.add_parser(name, help=text)
        cell.add_argument("--config", **CONFIG)
        for field in FIELDS:
            cell.add_argument(field, type=int if field == "seed" else str)
        cell.set_defaults(run={"cell": _cell, "job": _job}[name])
        if name == "cell":
            cell.add_argument("--device", help=DEVICE)

    run = commands.add_parser("run", help="run a cell that `job` printed; needs no pydantic")
    run.add_argument("file", type=Path)
    run.add_argument("--device", help=DEVICE)
    run.set_defaults(run=_run)

    plan = commands.add_parser("plan", help="print which clients average which layer")
    plan.add_argument("family")
    plan.add_argument("strategy")
    plan.add_argument("--clients", type=int, default=Protocol().clients, help="default: %(default)s")
    plan.add_argument("--classifier", choices=("same_architecture", "none", "all"), default=Protocol().classifier)
    plan.set_defaults(run=_plan)

    cells = commands.add_parser("cells", help="list the cells of a study and which of them have been run")
    cells.add_argument("--config", **CONFIG)
    cells.set_defaults(run=_cells)

    bench = commands.add_parser("bench", help="measure this machine: rounds, aggregation, dry runs (about 15 minutes)")
    bench.add_argument("--out", type=Path, default=Path("results/bench"), help="folder (default: %(default)s)")
    bench.add_argument("--device", help=DEVICE)
    bench.add_argument("--quick", action="store_true", help="next to nothing, to see that it works")
    bench.set_defaults(run=_bench)

    generate = commands.add_parser("generate", help="rewrite what is generated in config/ and in the README")
    generate.set_defaults(run=_generate)
    return parser


def _study(arguments: argparse.Namespace) -> "tuple[Study, str]":
    """The study that `--config` names, and its files in words."""
    from flexifed import config

    paths = arguments.config or [DEFAULT_CONFIG]
    return config.read(*paths), " with ".join(map(str, paths))


def _resolved(arguments: argparse.Namespace) -> "Run":
    from flexifed.single import Run, Source

    study, where = _study(arguments)
    cell = Cell(**{field: getattr(arguments, field) for field in FIELDS})
    for field in FIELDS:
        known = {str(getattr(c, field)) for c in study.cells()}
        if str(getattr(cell, field)) not in known:
            raise registry.unknown(f"{field} in {where}:", str(getattr(cell, field)), known)
    if cell not in study.cells():
        raise UserError(f"{cell} is not a cell of {where}; `python -m flexifed cells` lists them.")
    settings, archives = study.dataset(cell.dataset), study.archives(cell.dataset)
    source = Source(settings.local, tuple(archives) if archives else None, settings.options, study.downloads)
    return Run(study.name, study.job(cell), source, study.checkpoint_minutes)


def _cell(arguments: argparse.Namespace) -> None:
    from flexifed import single

    print(single.run(_resolved(arguments), arguments.device))


def _job(arguments: argparse.Namespace) -> None:
    print(json.dumps(_resolved(arguments).to_json(), indent=2))


def _run(arguments: argparse.Namespace) -> None:
    from flexifed import files, single

    try:
        run = single.Run.from_json(files.read_object(arguments.file))
    except UserError as error:
        raise UserError(f"{arguments.file}: not a job that `python -m flexifed job` printed ({error}).") from None
    print(single.run(run, arguments.device))


def _plan(arguments: argparse.Namespace) -> None:
    registry.check("family", arguments.family)
    registry.check("strategy", arguments.strategy)
    versions = registry.constant("family", arguments.family, "VERSIONS")
    if arguments.clients < 1 or arguments.clients % len(versions):
        raise UserError(f"--clients {arguments.clients}: use a multiple of {len(versions)}, the number of versions.")
    from flexifed import planning

    protocol = Protocol(clients=arguments.clients, versions=versions, classifier=arguments.classifier)
    made = planning.for_family(
        arguments.family,
        arguments.strategy,
        versions=protocol.client_versions(),
        classifier=protocol.classifier,
        options={},
    )
    print(planning.describe(made))


def _cells(arguments: argparse.Namespace) -> None:
    from flexifed import layout

    study, _ = _study(arguments)
    for cell in study.cells():
        folder = layout.study_folder(study.name) / layout.CELL.format(**vars(cell))
        state = "done" if (folder / "run.json").exists() else "begun" if (folder / "checkpoints").exists() else "-"
        print(f"{state:5} {cell}")


def _bench(arguments: argparse.Namespace) -> None:
    from flexifed.bench.run import run

    run(arguments.out, arguments.device, quick=arguments.quick)
    print(arguments.out / "bench.md")


def _generate(arguments: argparse.Namespace) -> None:
    from flexifed import generated

    for path in generated.write():
        print(path)


def main() -> int:
    """Run a command; returns the exit code: 0, 2 after an error the user can mend, 75 after an interruption."""
    arguments = _parser().parse_args()
    logs.to_stderr()
    try:
        arguments.run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        print(f"{interrupted}; run it again to go on.", file=sys.stderr)
        return EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
