"""What a study must pass as a whole, beyond the types of its keys: names, and what its parts say of each other.

The study may have faults (`flexifed.study.schemafaults.read`): what follows from them is sorted out in
`flexifed.settings.faults`.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flexifed.data.source import wrong_source
from flexifed.settings import checks, layout, quantities, registry
from flexifed.settings.faults import Fault, Place
from flexifed.settings.protocol import Protocol
from flexifed.study import overrides, schemafaults
from flexifed.study.overrides import Layer

if TYPE_CHECKING:
    from flexifed.study.config import Block, Effect, Study


def every(study: "Study") -> Iterator[Fault]:
    """All faults; those that others follow from come first."""
    yield from _strategies(study)
    yield from _engine(study)
    yield from _stand_ins(study)
    yield from _plugins(study)
    yield from _sources(study)
    for number, block in enumerate(study.blocks):
        yield from _block(study, number, block)
    for name in study.protocols:
        yield from _protocol(study, name)
    for number, effect in enumerate(study.effects):
        yield from _effect(study, number, effect)
    yield from _sweep(study)
    families = [family for block in study.blocks for family in block.families]
    resolved = [_resolved(study.layers(name))[0] for name in study.protocols]
    yield from checks.kept_models(study.keep_models, families, resolved)


def _strategies(study: "Study") -> Iterator[Fault]:
    """Strategies are files, or have one named for them, which takes their options."""
    for name in study.strategy_options:
        file, options = study.strategy(name)
        place = ("strategy_options", name)
        yield from checks.name("strategy", file or name, *place, *(("strategy",) if file else ()))
        yield from checks.options("strategy", file or name, options, *place)
    yield from _named(study, study.strategies, "strategies")


def _named(study: "Study", names: Sequence[str], *place: Any) -> Iterator[Fault]:
    known = (*registry.names("strategy"), *study.strategy_options)
    for number, name in enumerate(names):
        yield from checks.known("strategy", name, known, *place, number)


def _engine(study: "Study") -> Iterator[Fault]:
    yield from checks.known("engine", study.engine, study.engines(), "engine")
    families = (family for block in study.blocks for family in block.families if family in registry.names("family"))
    for engine in dict.fromkeys(map(study.engine_name, families)):
        yield from checks.engine(engine, study.precision)


def _stand_ins(study: "Study") -> Iterator[Fault]:
    yield from checks.names("dataset", study.stand_ins, "stand_ins")
    for replaced, stand_in in study.stand_ins.items():
        yield from checks.name("dataset", stand_in, "stand_ins", replaced)


def _plugins(study: "Study") -> Iterator[Fault]:
    """The sections with settings of data sets and families."""
    yield from checks.names("dataset", study.datasets, "datasets")
    for name, settings in study.datasets.items():
        yield from checks.options("dataset", name, settings.options, "datasets", name, "options")
    yield from checks.names("family", study.families, "families")
    for name, options in study.families.items():
        yield from checks.options("family", name, options, "families", name)


def _sources(study: "Study") -> Iterator[Fault]:
    """Data sets that are used, or have a source of their own, come in the way that the study says."""
    named = {name for name, settings in study.datasets.items() if settings.local or settings.archives}
    used = (cell.dataset for cell in study.cells())
    for name in dict.fromkeys(each for each in (*sorted(named), *used) if each in registry.names("dataset")):
        for key, text in wrong_source(name, study.dataset(name).local, study.archives(name)):
            yield Fault(("datasets", name, key), text)


def _block(study: "Study", number: int, block: "Block") -> Iterator[Fault]:
    place = ("blocks", number)
    yield from checks.name("dataset", block.dataset, *place, "dataset")
    yield from checks.names("family", block.families, *place, "families")
    yield from _named(study, block.strategies or [], *place, "strategies")
    yield from _members(study, number, block)
    for i, protocol in enumerate(block.protocols or []):
        yield from checks.known("protocol", protocol, study.protocols, *place, "protocols", i)
    yield from _kinds(study, number, block)


def _members(study: "Study", number: int, block: "Block") -> Iterator[Fault]:
    """Strategies that average whole models get clients that hold the same one, and those that cut, what can be cut."""
    given = ("strategies",) if block.strategies is None else ("blocks", number, "strategies")
    for protocol in block.protocols or study.protocols:
        if protocol in study.protocols:
            resolved, _ = _resolved(study.layers(protocol))
            for i, name in enumerate(block.strategies or study.strategies):
                file, options = study.strategy(name)
                its_families = ("blocks", number, "families")
                for fault in (
                    *checks.strategy(file or name, resolved, *given, i),
                    *checks.members(file or name, options, block.families, resolved, *its_families),
                ):
                    yield Fault(fault.place, fault.text, (("protocols", protocol),))


def _kinds(study: "Study", number: int, block: "Block") -> Iterator[Fault]:
    """The families of a block read the kind of samples that its data set has."""
    dataset = study.dataset_of(block)
    if dataset not in registry.names("dataset"):
        return
    kind = registry.constant("dataset", dataset, "KIND")
    fitting = [f for f in registry.names("family") if registry.constant("family", f, "KIND") == kind]
    for i, family in enumerate(block.families):
        if family not in fitting:
            readers = ", ".join(fitting) or "none"
            text = f"{family!r} does not read the {kind} samples of {dataset!r}. Families that do: {readers}."
            reads = (("blocks", number, "dataset"), ("stand_ins", block.dataset))
            yield Fault(("blocks", number, "families", i), text, reads)


def _protocol(study: "Study", name: str) -> Iterator[Fault]:
    """A protocol alone, with what each data set changes in it, and with the families of the blocks that have it."""
    yield from checks.known("preset", study.preset(name), study.presets(), "protocols", name, "preset")
    blocks = [block for block in study.blocks if name in (block.protocols or study.protocols)]
    families = dict.fromkeys(family for block in blocks for family in block.families)
    for dataset in (None, *study.datasets):
        layers = study.layers(name, dataset)
        protocol, faults = _resolved(layers)
        found = [*faults, *checks.protocol(protocol, families)]
        yield from (_placed(fault, layers, ("protocols", name)) for fault in found)


def _resolved(layers: Sequence[Layer]) -> tuple[Protocol, list[Fault]]:
    return schemafaults.read(Protocol, overrides.resolved(layers))


def _placed(fault: Fault, layers: Sequence[Layer], own: Place) -> Fault:
    """A fault of a protocol as one of the study; what the study does not give there is read from the preset."""
    read = (overrides.given(layers, place) or (*own, "preset") for place in (fault.place, *fault.reads))
    place = overrides.given(layers, fault.place) or (*own, *fault.place)
    return Fault(place, fault.text, tuple(each for each in read if each != place))


def _effect(study: "Study", number: int, effect: "Effect") -> Iterator[Fault]:
    place = ("effects", number)
    yield from checks.known("protocol", effect.protocol, study.protocols, *place, "protocol")
    yield from checks.known("protocol", effect.base, study.protocols, *place, "base")
    if effect.level in [earlier.level for earlier in study.effects[:number]]:
        text = f"{effect.level!r} is the level of several effects; levels are unique."
        yield Fault((*place, "level"), text)
    yield from _combined(study, number, effect)
    layers = study.layers(effect.protocol) if effect.protocol in study.protocols else []
    layers.append(Layer((*place, "final"), effect.final, ("final",)))
    protocol, faults = _resolved(layers)
    found = [*faults, *checks.final(protocol.final)]
    yield from (_placed(fault, layers, ("protocols", effect.protocol)) for fault in found)
    yield from _pairs(study, number, effect)
    yield from _quantities(study, number, effect, protocol)


def _pairs(study: "Study", number: int, effect: "Effect") -> Iterator[Fault]:
    """A change of strategy or of data set is from one to another one."""
    for key in ("strategies", "datasets"):
        pair = getattr(effect, key)
        if pair and (len(pair) != 2 or pair[0] == pair[1]):
            text = f"expected two, that of the base and what it is changed to; got {', '.join(pair)}."
            yield Fault(("effects", number, key), text)
    yield from _named(study, effect.strategies, "effects", number, "strategies")
    yield from checks.names("dataset", effect.datasets, "effects", number, "datasets")


def _quantities(study: "Study", number: int, effect: "Effect", changed: Protocol) -> Iterator[Fault]:
    """What an effect is of, its data sets have, and both of its protocols measure; an overlay may leave it none."""
    having = [block for block in study.blocks if effect.base in (block.protocols or study.protocols)]
    named = effect.datasets or [study.dataset_of(block) for block in having]
    datasets = [name for name in dict.fromkeys(named) if name in registry.names("dataset")]
    base, _ = _resolved(study.layers(effect.base) if effect.base in study.protocols else [])
    for i, metric in enumerate(effect.metrics if datasets else []):
        place = ("effects", number, "metrics", i)
        if metric in effect.metrics[:i]:
            yield Fault(place, f"{metric!r} is named twice.")
        for dataset in datasets:
            yield from checks.known(f"metric of {dataset}", metric, quantities.titles(dataset), *place)
        others = metric not in [quantities.own(dataset) for dataset in datasets]
        read = [(effect.base, base), (effect.protocol, changed)]
        wrong = [text for name, protocol in read if (text := _unmeasured(metric, name, protocol, others))]
        for text in wrong[:1]:
            yield Fault(place, text, (*(("protocols", name) for name, _ in read), ("effects", number, "final")))


def _unmeasured(metric: str, name: str, protocol: Protocol, others: bool) -> str | None:
    """Why a protocol's curves do not give a metric by its rule; `others`: it is not the task's own."""
    final = protocol.final
    if metric in quantities.EVENNESS and not layout.tests_everybody(protocol):
        return f"{metric!r} needs a test of every client on its own samples: protocol {name!r} has another one."
    if others and final.mode == "train":
        return f"{metric!r} is not recorded in training mode, in which protocol {name!r} takes its final number."
    if metric == quantities.LOSS and final.rule == "best":
        return f"the best round is the highest, and a lower loss is better: protocol {name!r} needs another rule."
    return None


def _combined(study: "Study", number: int, effect: "Effect") -> Iterator[Fault]:
    """The levels that an effect combines are there, and of its base."""
    levels = [other.level for other in study.effects]
    illegible = tuple(("effects", i, "level") for i, level in enumerate(levels) if not level)
    for i, level in enumerate(effect.combines):
        place = ("effects", number, "combines", i)
        if level not in levels:
            yield Fault(place, str(registry.unknown("level", level, dict.fromkeys(levels))), illegible)
        elif (base := study.effects[other := levels.index(level)].base) != effect.base:
            text = f"{level!r} has the base {base!r}, not {effect.base!r}; effects add up from one base."
            yield Fault(place, text, (("effects", other, "base"), ("effects", number, "base")))


def _sweep(study: "Study") -> Iterator[Fault]:
    levels = study.sweep.levels if study.sweep else {}
    used = {protocol for block in study.blocks for protocol in block.protocols or study.protocols}
    for number, (protocol, value) in enumerate(levels.items()):
        place = ("sweep", "levels", protocol)
        yield from checks.known("protocol", protocol, study.protocols, *place)
        if protocol not in used:
            yield Fault(place, "no block of the study has this protocol.", (("blocks",),))
        if value in list(levels.values())[:number]:
            yield Fault(place, f"{value} is the value of several protocols; each has one of its own.")
