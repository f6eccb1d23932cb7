"""What a study and a single job must both pass, beyond the types of their keys. Needs no pydantic."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from flexifed.settings import registry
from flexifed.settings.protocol import FinalNumber, Protocol
from flexifed.system.errors import UserError


@contextmanager
def at(where: str) -> Iterator[None]:
    """Put the place in the file in front of an error's text."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def names(kind: str, given: Iterable[str], where: str) -> None:
    """All names are registered.

    Raises:
        UserError: one is not; the place and the nearest known name are given.
    """
    with at(where):
        for name in given:
            registry.check(kind, name)


def engine(name: str, precision: str) -> None:
    """The engine is registered and offers the precision.

    Raises:
        UserError: it is not, or does not.
    """
    names("engine", [name], "engine")
    offered = registry.constant("engine", name, "PRECISIONS")
    if precision not in offered:
        raise UserError(f"precision: {registry.unknown(f'precision of engine {name!r}', precision, offered)}")


def protocol(given: Protocol, family: str) -> None:
    """A protocol fits a registered family.

    Raises:
        UserError: versions that the family has not, unequal numbers of clients, options of a plugin that are not
            known or not allowed, or options with which no data set can be dealt.
    """
    known = registry.constant("family", family, "VERSIONS")
    if not given.versions or len(set(given.versions)) < len(given.versions):
        raise UserError(
            f"versions: name each version once, and at least one; got {list(given.versions)}. "
            f"Known: {', '.join(known)}."
        )
    for version in given.versions:
        if version not in known:
            raise UserError(f"versions: {registry.unknown(f'version of {family}', version, known)}")
    if given.clients % len(given.versions):
        raise UserError(
            f"clients: {given.clients} clients cannot hold {len(given.versions)} versions in equal numbers; "
            f"use a multiple of {len(given.versions)}."
        )
    final(given.final)
    names("partitioner", [given.partition.partitioner], "partition.partitioner")
    with at("partition.options"):
        registry.check_options("partitioner", given.partition.partitioner, "partition", given.partition.options)
        dealing(given)
    names("family", given.family_options, "family_options")
    for name, options in given.family_options.items():
        with at(f"family_options.{name}"):
            registry.check_options("family", name, "build", options)


def dealing(given: Protocol) -> None:
    """The partitioner can deal samples to so many clients with its options, as far as that depends on no data.

    Raises:
        UserError: it cannot; the numbers are given.
    """
    name = given.partition.partitioner
    options = registry.keywords("partitioner", name, "partition") | dict(given.partition.options)
    if check := getattr(registry.load("partitioner", name), "check", None):
        check(given.clients, **options)


def final(given: FinalNumber) -> None:
    """A final number is one that histories hold.

    Raises:
        UserError: it is not.
    """
    if (given.phase, given.mode) == ("local", "train"):
        raise UserError("final: the accuracy in training mode is recorded in phase `aggregated` only.")
