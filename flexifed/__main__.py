"""Commands that need no Snakemake: `flexifed doctor`, `flexifed cell ...`; `python -m flexifed` is the same."""

import argparse
import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from flexifed.crate import LICENCE
from flexifed.reference.queue import FILE
from flexifed.settings import checks, registry
from flexifed.settings.cell import Cell
from flexifed.settings.protocol import Budgets, Protocol
from flexifed.system import logs, provenance
from flexifed.system.errors import UserError
from flexifed.system.interruption import EXIT_CODE, Interrupted

if TYPE_CHECKING:
    from flexifed.settings.job import Job
    from flexifed.study.config import Study
    from flexifed.study.single import Run

DEFAULT_CONFIG = Path("config/config.yaml")
CONFIG: Any = {
    "type": Path,
    "action": "append",
    "help": f"the study (default: {DEFAULT_CONFIG}); given again, an overlay over what came before",
}
REFERENCE = Path("results/reference/full-width")
DEVICE = "cpu, cuda, cuda:1 ... (default: a GPU if there is one)"
MEASURES = get_args(get_type_hints(Budgets)["measure"])
FIELDS = tuple(field.name for field in dataclasses.fields(Cell))

EXAMPLES = """\
examples:
  flexifed doctor                                          what this machine has, and what runs on it in which time
  flexifed plan vgg max_common                             who shares which layer
  flexifed cells --config config/quick.yaml                what of a study is done, what is missing
  flexifed cell --config config/quick.yaml digits8 mlp max_common quick 0      one training run

A whole study, to its report: make quick, make study CONFIG=mine.yaml, or snakemake --cores all --configfile mine.yaml
"""


def _parser() -> argparse.ArgumentParser:
    # `python -m` puts the file's path first, the installed command its own name.
    prog = "python -m flexifed" if Path(sys.argv[0]).name == "__main__.py" else "flexifed"
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"flexifed {provenance.own_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="what this machine has, and what runs on it in which time")
    doctor.add_argument("--no-times", action="store_true", help="measure nothing, which takes half a minute")
    doctor.set_defaults(run=_doctor)

    for name, text in (
        ("cell", "run one cell of a study, with everything it needs"),
        ("job", "print one cell, resolved, as JSON: `run` runs it where a study cannot be read"),
    ):
        cell = commands.add_parser(name, help=text)
        cell.add_argument("--config", **CONFIG)
        for field in FIELDS:
            cell.add_argument(field, type=int if field == "seed" else str, help="of the cell, as `cells` lists it")
        cell.set_defaults(run={"cell": _cell, "job": _job}[name])
        if name == "cell":
            cell.add_argument("--device", type=_device, help=DEVICE)

    run = commands.add_parser("run", help="run a cell that `job` printed; needs no pydantic")
    run.add_argument("file", type=Path, help="what `job` printed")
    run.add_argument("--device", type=_device, help=DEVICE)
    run.set_defaults(run=_run)

    plan = commands.add_parser("plan", help="print which clients average which layer")
    plan.add_argument("family", help="e.g. vgg")
    plan.add_argument("strategy", help="e.g. max_common")
    plan.add_argument("--clients", type=_positive, default=Protocol().clients, help="default: %(default)s")
    plan.add_argument("--classifier", choices=("same_architecture", "none", "all"), default=Protocol().classifier)
    plan.add_argument("--budgets", type=_shares, help="what tiers of clients can afford, e.g. 0.1,0.25,0.5,1")
    plan.add_argument("--measure", choices=MEASURES, default=Budgets().measure, help="of what (default: %(default)s)")
    plan.add_argument("--cuts", help="an option of the strategy, e.g. depth_and_width")
    plan.add_argument("--shape", type=_shape, help="of a sample, e.g. 3,32,32 (default: that of a typical data set)")
    plan.add_argument("--classes", type=_positive, help="how many there are (default: likewise)")
    plan.set_defaults(run=_plan)

    cells = commands.add_parser("cells", help="check a study, list its cells, and say which of them have been run")
    cells.add_argument("--config", **CONFIG)
    cells.set_defaults(run=_cells)

    results = commands.add_parser("results", help="check a study, and print the folder of its results")
    results.add_argument("--config", **CONFIG)
    results.set_defaults(run=_results)

    reference = commands.add_parser(
        "reference", help="list a queue of reference results, or work on it for some minutes (docs/reference.md)"
    )
    reference.add_argument("folder", type=Path, nargs="?", default=REFERENCE, help=f"with a {FILE} ({REFERENCE})")
    reference.add_argument("--minutes", type=_minutes, help="ask running cells to stop then; without it: only list")
    reference.add_argument("--out", type=Path, help="where new results go (default: the folder of the queue)")
    reference.add_argument(
        "--jobs", type=_positive, help="at most so many cells at a time (default: 1, on a GPU what fits)"
    )
    reference.add_argument("--again", action="store_true", help="also run stale cells, after all others")
    reference.add_argument("--device", type=_device, help=DEVICE)
    reference.set_defaults(run=_reference)

    report = commands.add_parser("reference-report", help="render tables, figures and a report of reference results")
    report.add_argument("folder", type=Path, nargs="?", default=REFERENCE, help="default: %(default)s")
    report.set_defaults(run=_reference_report)

    board = commands.add_parser("board", help="render a page of every published number and claim beside ours")
    board.add_argument("folder", type=Path, nargs="?", default=REFERENCE.parent, help="default: %(default)s")
    board.add_argument("--out", type=Path, default=Path("results/board.html"), help="default: %(default)s")
    board.set_defaults(run=_board)

    pack = commands.add_parser("pack", help="write a prepared data set as files that are small enough to carry")
    pack.add_argument("--config", **CONFIG)
    pack.add_argument("dataset", help="one of the study's")
    pack.add_argument("folder", type=Path, help="where the pieces go")
    pack.add_argument("--mib", type=_positive, default=60, help="size of a piece at most (default: %(default)s)")
    pack.set_defaults(run=_pack)

    unpack = commands.add_parser("unpack", help="put the pieces that `pack` wrote together and verify their digests")
    unpack.add_argument("pieces", type=Path, help="the folder with all of them")
    unpack.add_argument("folder", type=Path, help="the prepared data set, e.g. results/full-width/data/cifar10")
    unpack.set_defaults(run=_unpack)

    crate = commands.add_parser("crate", help="pack a study with its provenance as a research object (RO-Crate)")
    crate.add_argument("folder", type=Path, help="results of a study, e.g. results/quick")
    crate.add_argument("out", type=Path, nargs="?", help="default: beside the folder, {study}.crate.zip")
    crate.add_argument(
        "--licence", default=LICENCE, help="address of the licence of the results (default: %(default)s)"
    )
    crate.set_defaults(run=_crate)

    testers = commands.add_parser(
        "clients-to-test", help="say how many random clients to test for a deviation from the mean of all"
    )
    testers.add_argument("--clients", type=_positive, required=True, help="how many there are")
    testers.add_argument("--deviation", type=float, required=True, help="that their mean shall not exceed, e.g. 0.05")
    testers.add_argument(
        "--spread", type=float, default=1.0, help="largest less smallest value that a client can have (%(default)s)"
    )
    testers.add_argument("--confidence", type=float, default=0.95, help="of one side (%(default)s)")
    testers.set_defaults(run=_clients_to_test)

    bench = commands.add_parser("bench", help="measure this machine: rounds, aggregation, dry runs (about 15 minutes)")
    bench.add_argument("--out", type=Path, default=Path("results/bench"), help="folder (default: %(default)s)")
    bench.add_argument("--device", type=_device, help=DEVICE)
    bench.add_argument("--quick", action="store_true", help="next to nothing, to see that it works")
    bench.set_defaults(run=_bench)

    generate = commands.add_parser("generate", help="rewrite what is generated in config/, docs/ and READMEs")
    generate.set_defaults(run=_generate)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _shares(text: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(each) for each in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0 < share <= 1 for share in shares):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of shares above 0, up to 1, such as 0.25,1")
    return shares


def _shape(text: str) -> tuple[int, ...]:
    return tuple(_positive(each) for each in text.split(","))


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 <= minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return minutes


def _device(text: str) -> str:
    """A device that PyTorch can use here."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text!r}: use cpu, cuda or cuda:N")
    import torch

    count, number = torch.cuda.device_count(), int(text.partition(":")[2] or 0)
    if text != "cpu" and number >= count:
        raise argparse.ArgumentTypeError(f"{text!r}: PyTorch can use {count} GPU(s) here, counted from cuda:0")
    return text


def _files(arguments: argparse.Namespace) -> list[Path]:
    """The study's own file and its overlays."""
    return arguments.config or [DEFAULT_CONFIG]


def _study(arguments: argparse.Namespace) -> "tuple[Study, str]":
    """The study that `--config` names, and its files in words."""
    from flexifed.study import config

    paths = _files(arguments)
    return config.read(*paths), " with ".join(map(str, paths))


def _resolved(arguments: argparse.Namespace) -> "Run":
    study, where = _study(arguments)
    cell = Cell(**{field: getattr(arguments, field) for field in FIELDS})
    for field in FIELDS:
        known = {str(getattr(c, field)) for c in study.cells()}
        if str(getattr(cell, field)) not in known:
            raise registry.unknown(f"{field} in {where}:", str(getattr(cell, field)), known)
    if cell not in study.cells():
        raise UserError(f"{cell} is not a cell of {where}; `python -m flexifed cells` lists them.")
    return study.run(cell)


def _doctor(arguments: argparse.Namespace) -> None:
    from flexifed.doctor import examine

    print(examine(measure=not arguments.no_times))


def _cell(arguments: argparse.Namespace) -> None:
    from flexifed.settings import layout
    from flexifed.study import ownership, single

    run = _resolved(arguments)
    ownership.check(folder := layout.study_folder(run.study), file := _files(arguments)[0])
    ownership.take(folder, file)
    print(single.run(run, arguments.device))


def _job(arguments: argparse.Namespace) -> None:
    print(json.dumps(_resolved(arguments).to_json(), indent=2))


def _run(arguments: argparse.Namespace) -> None:
    from flexifed.study import single
    from flexifed.system import files

    try:
        run = single.Run.from_json(files.read_object(arguments.file))
    except UserError as error:
        raise UserError(f"{arguments.file}: not a job that `python -m flexifed job` printed:\n{error}") from None
    print(single.run(run, arguments.device))


def _plan(arguments: argparse.Namespace) -> None:
    registry.check("family", arguments.family)
    registry.check("strategy", arguments.strategy)
    if arguments.budgets:
        _plan_with_budgets(arguments)
        return
    if registry.constant("strategy", arguments.strategy, "BY_PLACE", False):
        raise UserError(
            f"{arguments.strategy!r} cuts members of a family to what clients can afford: say how much, e.g. with "
            "--budgets 0.1,0.25,0.5,1."
        )
    versions = registry.constant("family", arguments.family, "VERSIONS")
    if registry.constant("strategy", arguments.strategy, "ONE_VERSION", False):
        versions = versions[:1]
    _check_clients(arguments.clients, len(versions), "versions")
    from flexifed.sharing import planning

    protocol = Protocol(clients=arguments.clients, versions=versions, classifier=arguments.classifier)
    made = planning.for_family(
        arguments.family,
        arguments.strategy,
        versions=protocol.client_versions(),
        classifier=protocol.classifier,
        options={},
    )
    print(planning.describe(made))


def _check_clients(clients: int, number: int, of: str) -> None:
    if clients % number:
        raise UserError(f"--clients {clients}: use a multiple of {number}, the number of {of}.")


def _plan_with_budgets(arguments: argparse.Namespace) -> None:
    """Print the table of budgets, and the plan of clients that hold what they can afford."""
    family, strategy = arguments.family, arguments.strategy
    levels = arguments.budgets
    _check_clients(arguments.clients, len(levels), "budgets")
    tiers = tuple(f"B{number}" for number in range(1, len(levels) + 1))
    protocol = Protocol(
        clients=arguments.clients,
        versions=tiers,
        budgets=Budgets(measure=arguments.measure, levels=levels),
        classifier=arguments.classifier,
    )
    options = {"cuts": arguments.cuts} if arguments.cuts else {}
    faults = [
        *checks.protocol(protocol, [family]),
        *checks.options("strategy", strategy, options),
        *checks.strategy(strategy, protocol),
        *checks.members(strategy, options, [family], protocol),
    ]
    if faults:
        raise UserError("\n".join(fault.text for fault in faults))
    from flexifed.elastic import budgets
    from flexifed.sharing import planning

    kind = registry.constant("family", family, "KIND")
    shape = arguments.shape or planning.SHAPES[kind]
    table = budgets.look_up(family, shape, arguments.classes or planning.CLASSES[kind], {}, protocol)
    print(f"{budgets.describe(table)}\n")
    made = planning.for_members(
        family,
        strategy,
        tiers=protocol.client_versions(),
        members=budgets.members(table, strategy, options),
        shape=table.shape,
        classes=table.classes,
        classifier=protocol.classifier,
        strategy_options=options,
    )
    print(planning.describe(made))


def _cells(arguments: argparse.Namespace) -> None:
    from flexifed.settings import layout
    from flexifed.study import preflight

    study, _ = _study(arguments)
    for cell in study.cells():
        folder = layout.study_folder(study.name) / layout.CELL.format(**vars(cell))
        print(f"{_state(study.job(cell), folder, layout.cell_files(study.keep_models)):5} {cell}")
    preflight.check(study, _files(arguments)[0])


def _results(arguments: argparse.Namespace) -> None:
    from flexifed.settings import layout
    from flexifed.study import preflight

    study, _ = _study(arguments)
    preflight.check(study, _files(arguments)[0])
    print(layout.study_folder(study.name))


def _state(job: "Job", folder: Path, expected: Sequence[str]) -> str:
    """`done`, `stale` (of other settings or code), `part` (a file of its result is missing), `begun`, or `-`."""
    there = [name for name in expected if (folder / name).exists()]
    if not there:
        return "begun" if (folder / "checkpoints").exists() else "-"
    if "run.json" in there and not job.is_up_to_date(folder / "run.json"):
        return "stale"
    return "done" if len(there) == len(expected) else "part"


def _reference(arguments: argparse.Namespace) -> None:
    from flexifed.reference.queue import Queue

    queue = Queue(arguments.folder, arguments.out)
    failed: list[str] = []
    try:
        if arguments.minutes is not None:
            from flexifed.reference.sidebyside import Work, room

            work = Work(queue, *room(arguments.device, arguments.jobs), arguments.device)
            failed = work.failed
            work.go(arguments.minutes, arguments.again)
    finally:
        print(*queue.standings(), sep="\n")
    if failed:
        raise UserError("\n".join(["cells failed:", *failed]))


def _reference_report(arguments: argparse.Namespace) -> None:
    from flexifed.reference import report as referencereport

    print(referencereport.render(arguments.folder))


def _board(arguments: argparse.Namespace) -> None:
    from flexifed.board import page

    page.render(arguments.folder, arguments.out)
    print(arguments.out)


def _pack(arguments: argparse.Namespace) -> None:
    from flexifed.reference import pieces
    from flexifed.settings import layout
    from flexifed.study import single
    from flexifed.system import locks

    study, where = _study(arguments)
    cells = {cell.dataset: cell for cell in study.cells()}
    if arguments.dataset not in cells:
        raise registry.unknown(f"data set of {where}", arguments.dataset, cells)
    root, source = layout.study_folder(study.name), study.run(cells[arguments.dataset]).source
    receipt, prepared = (root / p.format(dataset=arguments.dataset) for p in (layout.SOURCE, layout.DATA))
    with locks.held(prepared.with_suffix(".lock")):
        single.prepare(arguments.dataset, source, receipt, prepared)
    for path in pieces.pack(prepared, arguments.folder, arguments.mib << 20):
        print(path)


def _unpack(arguments: argparse.Namespace) -> None:
    from flexifed.reference import pieces

    pieces.unpack(arguments.pieces, arguments.folder)
    print(arguments.folder)


def _crate(arguments: argparse.Namespace) -> None:
    from flexifed import crate

    out = arguments.out or arguments.folder.with_name(f"{arguments.folder.name}.crate.zip")
    print(crate.write(arguments.folder, out, licence=arguments.licence))


def _clients_to_test(arguments: argparse.Namespace) -> None:
    from flexifed.selection.testing import clients_to_test

    clients, deviation, confidence = arguments.clients, arguments.deviation, arguments.confidence
    number = clients_to_test(clients, deviation, arguments.spread, confidence)
    print(
        f"Test {number} of the {clients} clients, drawn at random: with a confidence of at least {confidence:.4g}, "
        f"their mean then exceeds that of all by less than {deviation:g}."
    )


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
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        print(f"{interrupted}; run it again to go on.", file=sys.stderr)
        return EXIT_CODE
    except BrokenPipeError:  # the reader of a list has seen enough, e.g. `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
