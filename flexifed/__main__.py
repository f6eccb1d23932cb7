"""Commands that need no Snakemake: `python -m flexifed cell | plan | cells | generate`."""

import argparse
import sys
from pathlib import Path

from flexifed import logs, registry
from flexifed.cell import Cell
from flexifed.errors import UserError
from flexifed.protocol import Protocol

DEFAULT_CONFIG = Path("config/config.yaml")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flexifed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    cell = commands.add_parser("cell", help="run one cell of a study, with everything it needs")
    cell.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="the study (default: %(default)s)")
    cell.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")
    cell.add_argument("dataset")
    cell.add_argument("family")
    cell.add_argument("strategy")
    cell.add_argument("protocol")
    cell.add_argument("seed", type=int)
    cell.set_defaults(run=_cell)

    plan = commands.add_parser("plan", help="print which clients average which layer")
    plan.add_argument("family")
    plan.add_argument("strategy")
    plan.add_argument("--clients", type=int, default=Protocol().clients, help="default: %(default)s")
    plan.add_argument("--classifier", choices=("same_architecture", "none", "all"), default=Protocol().classifier)
    plan.set_defaults(run=_plan)

    cells = commands.add_parser("cells", help="list the cells of a study and which of them have been run")
    cells.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="the study (default: %(default)s)")
    cells.set_defaults(run=_cells)

    generate = commands.add_parser("generate", help="rewrite what is generated in config/ and in the README")
    generate.set_defaults(run=_generate)
    return parser


def _cell(arguments: argparse.Namespace) -> None:
    from flexifed import config, single
    from flexifed.job import Job

    study = config.read(arguments.config)
    fields = ("dataset", "family", "strategy", "protocol", "seed")
    cell = Cell(**{field: getattr(arguments, field) for field in fields})
    if cell not in study.cells():
        for field in fields:
            known = sorted({str(getattr(c, field)) for c in study.cells()})
            if str(getattr(cell, field)) not in known:
                raise registry.unknown(f"{field} in {arguments.config}", str(getattr(cell, field)), known)
        raise UserError(f"{cell} is not a cell of {arguments.config}; `python -m flexifed cells` lists them.")
    job = Job(cell, study.protocol(cell.protocol, cell.dataset), study.families.get(cell.family, {}), study.engine)
    print(single.run(study, job, arguments.device))


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
    from flexifed import config, layout

    study = config.read(arguments.config)
    for cell in study.cells():
        done = (layout.study_folder(study.study) / layout.CELL.format(**vars(cell)) / "run.json").exists()
        print(f"{'done' if done else '-':5} {cell}")


def _generate(arguments: argparse.Namespace) -> None:
    from flexifed import generated

    for path in generated.write():
        print(path)


def main() -> int:
    """Run a command; returns the exit code: 0, or 2 after an error the user can mend."""
    arguments = _parser().parse_args()
    logs.to_stderr()
    try:
        arguments.run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
