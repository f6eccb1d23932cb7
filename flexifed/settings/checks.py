"""What a study and a single job must both pass, beyond the types of their keys. Needs no pydantic.

Each check yields the faults that it finds, at their places in what it is given.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from flexifed.settings import registry
from flexifed.settings.faults import Fault, Place
from flexifed.settings.protocol import FinalNumber, Partition, Protocol, Pruning
from flexifed.sharing.places import nested
from flexifed.system.errors import UserError


def known(what: str, name: object, names: Iterable[str], *place: Any) -> Iterator[Fault]:
    """A name is one of those that there are."""
    if name not in (names := tuple(names)):
        yield Fault(place, str(registry.unknown(what, name, names)))


def name(kind: str, given: str, *place: Any) -> Iterator[Fault]:
    """A name is registered."""
    yield from known(kind, given, registry.names(kind), *place)


def names(kind: str, given: Iterable[str], *place: Any) -> Iterator[Fault]:
    """All names of a list, or all keys of a mapping, are registered."""
    for key, each in zip(given, given, strict=True) if isinstance(given, Mapping) else enumerate(given):
        yield from name(kind, each, *place, key)


def options(kind: str, plugin: str, given: Mapping[str, Any], *place: Any) -> Iterator[Fault]:
    """The options of a plugin are known and allowed; nothing where there is no such plugin."""
    if plugin in registry.names(kind):
        for key, text in registry.wrong_options(kind, plugin, given):
            yield Fault((*place, key), text)


def engine(given: str, precision: str) -> Iterator[Fault]:
    """The engine is registered and offers the precision."""
    yield from name("engine", given, "engine")
    if given in registry.names("engine"):
        offered = registry.constant("engine", given, "PRECISIONS")
        yield from known(f"precision of engine {given!r}", precision, offered, "precision")


def protocol(given: Protocol, families: Iterable[str]) -> Iterator[Fault]:
    """A protocol fits itself, and families of which it has the versions."""
    known_families = [f for f in families if f in registry.names("family")]
    if given.budgets is None:
        yield from _versions(given.versions, known_families)
    else:
        yield from _tiers(given, known_families)
    yield from _clients(given)
    yield from final(given.final)
    yield from _tests(given)
    yield from _partition(given.partition)
    yield from _dealing(given)
    yield from _devices(given)
    yield from _tables(given, [f for f in families if f in registry.names("family")])
    yield from names("family", given.family_options, "family_options")
    for family, chosen in given.family_options.items():
        yield from options("family", family, chosen, "family_options", family)


def _versions(given: tuple[str, ...], families: list[str]) -> Iterator[Fault]:
    versions = {family: registry.constant("family", family, "VERSIONS") for family in families}
    for number, version in enumerate(given):
        for family in families:
            yield from known(f"version of {family}", version, versions[family], "versions", number)
    if not given or len(set(given)) < len(given):
        all_known = sorted({version for some in versions.values() for version in some})
        hint = f" Known: {', '.join(all_known)}." if all_known else ""
        yield Fault(("versions",), f"name each version once, and at least one; got {list(given)}.{hint}")


def _tiers(given: Protocol, families: list[str]) -> Iterator[Fault]:
    """With budgets, versions are names of tiers, each with a level of its own."""
    assert given.budgets is not None
    levels = given.budgets.levels
    for number, tier in enumerate(given.versions):
        for family in families:
            if tier in registry.constant("family", family, "VERSIONS"):
                text = (
                    f"{tier!r} is a version of {family}; with `budgets` these are names of tiers, e.g. `B{number + 1}`."
                )
                yield Fault(("versions", number), text, (("budgets",),))
    if not given.versions or len(set(given.versions)) < len(given.versions):
        yield Fault(("versions",), f"name each tier once, and at least one; got {list(given.versions)}.")
    if len(levels) != len(given.versions):
        text = (
            f"{_counted(len(levels), 'level')} for {_counted(len(given.versions), 'tier')} "
            f"({', '.join(given.versions)}); give one for each."
        )
        yield Fault(("budgets", "levels"), text, (("versions",),))
    for number, (lower, level) in enumerate(pairwise(levels), 1):
        if level <= lower:
            text = f"levels ascend from the smallest budget to the largest; {level:g} follows {lower:g}."
            yield Fault(("budgets", "levels", number), text)
    yield from _pruning(given.budgets.pruning)


def _pruning(pruning: Pruning) -> Iterator[Fault]:
    """Some epochs are left to train after rewinding."""
    if pruning.between == "rewind" and pruning.rewind_epochs >= pruning.epochs:
        place: Place = ("budgets", "pruning")
        text = (
            f"rewinds to the weights after {pruning.rewind_epochs} of {pruning.epochs} epochs, which leaves none to "
            "train: use fewer `rewind_epochs`, or more `epochs`."
        )
        yield Fault((*place, "rewind_epochs"), text, ((*place, "epochs"),))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _clients(given: Protocol) -> Iterator[Fault]:
    n = len(given.versions)
    if n and given.clients % n:
        parts = f"hold {n} versions" if given.budgets is None else f"be in {n} tiers"
        text = f"{given.clients} clients cannot {parts} in equal numbers; use a multiple of {n}."
        yield Fault(("clients",), text, reads=(("versions",),))
    if isinstance(given.participants, int) and given.participants > given.clients:
        text = f"{given.participants} participants of {given.clients} clients; ask for at most {given.clients}."
        yield Fault(("participants",), text, reads=(("clients",),))


def strategy(name: str, given: Protocol, *place: Any) -> Iterator[Fault]:
    """A strategy takes clients like the protocol's: those that average whole models need one architecture."""
    if name not in registry.names("strategy"):
        return
    if given.budgets is None and len(given.versions) > 1 and registry.constant("strategy", name, "ONE_VERSION", False):
        yield Fault(place, one_version(name, given.versions), (("versions",),))
    if registry.constant("strategy", name, "BY_PLACE", False):
        yield from _by_place(name, given, *place)
    wanted = registry.constant("strategy", name, "TEST_SET", given.test_set)
    if given.test_set != wanted:
        text = f"{name!r} leaves rows with clients that nobody else has: use `test_set: {wanted}`."
        yield Fault(place, text, (("test_set",),))


def _by_place(name: str, given: Protocol, *place: Any) -> Iterator[Fault]:
    """Strategies that cut members from the largest version need budgets, and begin with its values."""
    if given.budgets is None:
        text = (
            f"{name!r} cuts members of a family to what clients can afford: run it with protocols that have `budgets`."
        )
        yield Fault(place, text, (("budgets",),))
    if given.initial_weights == "per_client":
        text = f"members under {name!r} begin as parts of one model: use `initial_weights: per_version`."
        yield Fault(place, text, (("initial_weights",),))
    if given.classifier != "same_architecture":
        text = f"{name!r} averages fully connected layers as it does others: use `classifier: same_architecture`."
        yield Fault(place, text, (("classifier",),))
    state = given.optimiser.state
    if state != (wanted := registry.constant("strategy", name, "OPTIMISER_STATE", state)):
        text = f"clients of {name!r} have other channels in every round: use `optimiser.state: {wanted}`."
        yield Fault(place, text, (("optimiser", "state"),))
    if given.common_layers is not None:
        text = f"{name!r} averages every layer by its place: use it without `common_layers`."
        yield Fault(place, text, (("common_layers",),))


def members(
    strategy: str, chosen: Mapping[str, Any], families: Iterable[str], given: Protocol, *place: Any
) -> Iterator[Fault]:
    """The families of a list can be cut as a strategy, with its options, does it."""
    if given.budgets is None or strategy not in registry.names("strategy"):
        return
    if not registry.constant("strategy", strategy, "BY_PLACE", False):
        return
    cuts = registry.cuts(strategy, chosen)
    for number, family in enumerate(families):
        if family in registry.names("family") and (text := _uncut(family, cuts)):
            yield Fault((*place, number), f"{strategy!r} cuts by {cuts.replace('_', ' ')}, and {text}")


def _uncut(family: str, cuts: str) -> str | None:
    """Why a family has no members that are smaller in this way; None where it has."""
    if "width" in cuts and "width" not in registry.keywords("family", family):
        return f"{family!r} has no option `width`, so that none of its members is narrower."
    if "depth" in cuts and not registry.constant("family", family, "NESTED", True):
        return (
            f"the versions of {family!r} are unrelated networks, none a part of another. Families whose shallow "
            f"versions are parts of the deepest: {', '.join(nested())}."
        )
    return None


def one_version(name: str, versions: Iterable[str]) -> str:
    """Why a strategy that averages whole models refuses a mixed fleet."""
    return (
        f"{name!r} averages whole models, and clients that hold {', '.join(versions)} have different ones. Give all "
        "clients one version (`versions: [V1]`), or use `clustered_fl`, a federation per architecture, or "
        "`max_common`, which averages what architectures have in common."
    )


def _tests(given: Protocol) -> Iterator[Fault]:
    """What is tested, once each, includes what the final number and the moving statistics need."""
    if len(set(given.tests)) < len(given.tests):
        yield Fault(("tests",), f"name each test once, got {list(given.tests)}.")
    reads: tuple[Place, ...] = (("final", "phase"), ("final", "mode"), ("test_updates_statistics",))
    wanted = given.final.phase if given.final.mode == "eval" else "train_mode"
    if wanted not in given.tests:
        yield Fault(("tests",), f"the final number is read from the test {wanted!r}, which is not in it.", reads)
    if given.test_updates_statistics and "train_mode" not in given.tests:
        text = "`test_updates_statistics` is about the test 'train_mode', which is not in it."
        yield Fault(("tests",), text, reads)


def _partition(given: Partition) -> Iterator[Fault]:
    yield from name("partitioner", given.partitioner, "partition", "partitioner")
    for fault in options("partitioner", given.partitioner, given.options, "partition", "options"):
        yield replace(fault, reads=(("partition", "partitioner"),))


def _dealing(given: Protocol) -> Iterator[Fault]:
    """The partitioner can deal samples to so many clients with its options, as far as that depends on no data."""
    name, place = given.partition.partitioner, ("partition", "options")
    if name not in registry.names("partitioner") or list(options("partitioner", name, given.partition.options)):
        return
    chosen = registry.keywords("partitioner", name) | dict(given.partition.options)
    try:
        getattr(registry.load("partitioner", name), "check", lambda clients, **_: None)(given.clients, **chosen)
    except UserError as error:
        yield Fault(place, str(error), reads=(("clients",), ("partition", "partitioner")))


def _tables(given: Protocol, families: list[str]) -> Iterator[Fault]:
    """Clients that hold some rows of embedding tables only begin and are tested with those."""
    for family in families:
        if not registry.constant("family", family, "TABLES", False):
            continue
        if given.initial_weights == "per_client":
            text = f"the tables of {family!r} begin equal for all clients: use `initial_weights: per_version`."
            yield Fault(("initial_weights",), text)
        if given.test_set == "whole" and "local" in given.tests:
            text = (
                f"a client of {family!r} holds the rows of its own samples, so that it cannot be tested on the whole "
                "test set after local training: use `test_set: shard`, or leave `local` out."
            )
            yield Fault(("tests",), text, (("test_set",),))


def kept_models(kept: str, families: Iterable[str], protocols: Iterable[Protocol]) -> Iterator[Fault]:
    """Models that can be kept are whole."""
    if kept != "none" and any(protocol.budgets for protocol in protocols):
        yield Fault(("keep_models",), "with `budgets` clients have no whole models: use `keep_models: none`.")
    for family in families:
        if (
            kept != "none"
            and family in registry.names("family")
            and registry.constant("family", family, "TABLES", False)
        ):
            yield Fault(("keep_models",), f"a client of {family!r} has no whole model: use `keep_models: none`.")


def _devices(given: Protocol) -> Iterator[Fault]:
    if given.devices is None:
        return
    for kind in ("capacity", "availability"):
        plugin, chosen = getattr(given.devices, kind), getattr(given.devices, f"{kind}_options")
        yield from name(kind, plugin, "devices", kind)
        for fault in options(kind, plugin, chosen, "devices", f"{kind}_options"):
            yield replace(fault, reads=(("devices", kind),))


def final(given: FinalNumber) -> Iterator[Fault]:
    """A final number is one that histories hold."""
    if (given.phase, given.mode) == ("local", "train"):
        reads: tuple[Place, ...] = (("final", "phase"), ("final", "mode"))
        yield Fault(("final",), "the test in training mode is recorded in phase `aggregated` only.", reads)
