"""Study files: YAML with the line of every key, so that an error can name it; a key that is there twice is a fault."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import inf
from pathlib import Path
from typing import Any

import yaml

from flexifed.settings.faults import Fault, Place, value_at
from flexifed.study import overrides
from flexifed.system.errors import UserError

_NOTHING = object()


@dataclass(frozen=True)
class Source:
    """A part of a study's configuration that comes from one place.

    Attributes:
        name: of the file, or what else it is.
        values: its keys.
        lines: of its keys and list entries, from 1, by their place.
        faults: keys that are there twice.
    """

    name: str
    values: Mapping[str, Any]
    lines: Mapping[Place, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def holds(self, place: Place) -> bool:
        """Whether it has such a place."""
        return value_at(self.values, place, _NOTHING) is not _NOTHING

    def line(self, place: Place) -> int | None:
        """The line of a place, or of what it is in."""
        beginnings = (place[:n] for n in range(len(place), 0, -1))
        return next((self.lines[beginning] for beginning in beginnings if beginning in self.lines), None)


@dataclass(frozen=True)
class Sources:
    """A study's files in their order: a later one wins over an earlier one."""

    files: Sequence[Source]

    def values(self) -> dict[str, Any]:
        """What they come to."""
        return reduce(overrides.merged, (source.values for source in self.files), dict[str, Any]())

    def faults(self) -> list[Fault]:
        """What is wrong with the files, whatever their values mean."""
        return [fault for source in self.files for fault in source.faults]

    def line(self, fault: Fault) -> tuple[tuple[float, ...], str]:
        """See `flexifed.settings.faults.Origin`."""
        if not self.files:
            return (), ""
        own = (i for i, source in enumerate(self.files) if any(fault is known for known in source.faults))
        number, place = next(((i, fault.place) for i in own), self._of(fault.place))
        line = self.files[number].line(place)
        return (number, line or inf), f"{self.files[number].name}{f':{line}' if line else ''}: "

    def _of(self, place: Place) -> tuple[int, Place]:
        """The file that a place's value is from, and as much of the place as is there."""
        holders, found, known = list(range(len(self.files))), 0, ()
        for n in range(1, len(place) + 1):
            holders = [i for i in holders if self.files[i].holds(place[:n])]
            if not holders:
                break
            found, known = holders[-1], place[:n]
            if not isinstance(value_at(self.files[found].values, known), Mapping):
                holders = [found]  # it has replaced what the others have there
        return found, known


def read(path: Path) -> Source:
    """Read a study's YAML file.

    Raises:
        UserError: it is not there, is not YAML, or is no mapping; the message begins with its name.
    """
    try:
        with _Loader(Path(path).read_bytes()) as loader:
            values = loader.values()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: a study is a mapping of keys, see config/README.md")
    return Source(str(path), values, loader.lines, tuple(loader.faults))


def near(path: Path) -> Path:
    """A path relative to the working directory where it lies below, as one would type it."""
    return Path(path).relative_to(Path.cwd()) if Path(path).is_relative_to(Path.cwd()) else Path(path)


class _Loader(yaml.SafeLoader):
    """Notes the line of each key, and the keys that are there twice."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.lines: dict[Place, int] = {}
        self.faults: list[Fault] = []
        self.seen: set[int] = set()

    def __enter__(self) -> "_Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def values(self) -> Any:
        """The document's values."""
        node = self.get_single_node()
        if node is None:
            return None
        self._note(node, ())
        return self.construct_document(node)

    def _note(self, node: yaml.Node, place: Place) -> None:
        if id(node) in self.seen:  # an alias, which may even be of what it stands in
            return
        self.seen.add(id(node))
        first: dict[Any, int] = {}  # line of each key
        for key, named, value in self._children(node):
            inner, line = (*place, key), named.start_mark.line + 1
            if key in first:
                text = f"this key is already on line {first[key]}, and YAML takes the last; keep one of them."
                self.faults.append(Fault(inner, text))
            first.setdefault(key, line)
            self.lines[inner] = line
            self._note(value, inner)

    def _children(self, node: yaml.Node) -> Iterator[tuple[Any, yaml.Node, yaml.Node]]:
        """Key or number, the node that its line is of, and the value."""
        if isinstance(node, yaml.SequenceNode):
            yield from ((number, entry, entry) for number, entry in enumerate(node.value))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    yield self.construct_object(key), key, value
