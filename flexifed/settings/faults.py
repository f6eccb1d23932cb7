"""Faults of a file that people write: gathered as far as it can be read, said all at once, each once, in its order."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from flexifed.system.errors import UserError

Place = tuple[Any, ...]
"""Keys, and numbers in lists from 0, that lead to a value of the file."""

LONGEST = 80
"""Characters of a value that an error repeats."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        place: where it is to be mended.
        text: what was found, and what is known or expected; one line.
        reads: other places that it was judged by. Where one of them is faulty, this may only follow from that.
    """

    place: Place
    text: str
    reads: tuple[Place, ...] = ()

    def moved(self, to: Callable[[Place], Place]) -> "Fault":
        """The same in a file in which everything stands elsewhere."""
        return Fault(to(self.place), self.text, tuple(map(to, self.reads)))

    def under(self, *above: Any) -> "Fault":
        """The same in a file in which everything stands under these keys."""
        return self.moved(lambda place: (*above, *place))


class Origin(Protocol):
    """The files that values are from."""

    def faults(self) -> Sequence[Fault]:
        """What is wrong with the files, whatever their values mean."""
        ...

    def line(self, fault: Fault) -> tuple[tuple[float, ...], str]:
        """Something to sort by, and the file and line of a fault in words."""
        ...


class Nowhere:
    """For values that are of no file."""

    def faults(self) -> Sequence[Fault]:
        """See `Origin`."""
        return ()

    def line(self, fault: Fault) -> tuple[tuple[float, ...], str]:
        """See `Origin`."""
        return (), ""


NOWHERE = Nowhere()


class Faults:
    """Faults as they are found; those that follow from others are left out."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.found: list[Fault] = []
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        """Take each fault whose place has none yet, nor what is above it, nor anything that it was judged by."""
        for fault in faults:
            if not any(self._explains(known.place, fault) for known in self.found):
                self.found.append(fault)

    @staticmethod
    def _explains(known: Place, fault: Fault) -> bool:
        return _begins(fault.place, known) or any(_begins(r, known) or _begins(known, r) for r in fault.reads)

    def check(self, values: Any, origin: Origin = NOWHERE) -> None:
        """Pass if there are none, and none of the files either.

        Args:
            values: what they are in, whose order is theirs.
            origin: the files.

        Raises:
            UserError: a line for each fault, in the order of the file.
        """
        lines = []
        for fault in (*self.found, *origin.faults()):
            order, where = origin.line(fault)
            text = f"{where}{'.'.join(map(str, fault.place))}: {fault.text}"
            lines.append(((order, _position(values, fault.place)), text))
        if lines:
            raise UserError("\n".join(text for _, text in sorted(lines, key=lambda line: line[0])))


def _begins(place: Place, beginning: Place) -> bool:
    return place[: len(beginning)] == beginning


def _position(values: Any, place: Place) -> list[int]:
    """Where a place stands in the order of a file; what is not there comes behind what is."""
    order = []
    for part in place:
        if isinstance(values, Mapping):
            keys = list(values)
            order.append(keys.index(part) if part in keys else len(keys))
        elif isinstance(values, Sequence) and isinstance(part, int):
            order.append(part)
        values = value_at(values, (part,))
    return order


def value_at(values: Any, place: Place, default: Any = None) -> Any:
    """What stands at a place; `default` where there is no such place."""
    for part in place:
        listed = isinstance(values, list | tuple) and isinstance(part, int) and part < len(values)
        if not (listed or (isinstance(values, Mapping) and part in values)):
            return default
        values = values[part]
    return values


def shown(value: Any) -> str:
    """A value as a YAML file has it, shortened where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."
