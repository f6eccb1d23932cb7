"""What pydantic finds wrong with values, in plain sentences, and what can be read of them all the same."""

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from flexifed.settings import registry
from flexifed.settings.faults import Fault, Place, shown, value_at

UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")

EXPECTED = {
    "string_type": "text",
    "string_pattern_mismatch": "letters, digits, - and _ only",
    "string_too_short": "some text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "finite_number": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "dataclass_type": "keys with values",
    "invalid_key": "text as the key",
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
    "too_short": "{min_length} or more entries",
    "value_error": "{error}",
}
"""By pydantic's type of error, what is expected; filled in with the error's context."""

EMPTY: dict[Any, Any] = {str: "", int: 0, float: 0.0, bool: False}


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read(kind: Any, values: Any) -> tuple[Any, list[Fault]]:
    """Values as a pydantic model or dataclass, and their faults.

    Where there are faults, the model is made of the values that are right: list entries keep their numbers, and what is
    faulty or missing is empty. It is good for finding further faults and for nothing else.
    """
    try:
        return _adapter(kind).validate_python(values), []
    except ValidationError as error:
        return _readable(kind, values), list(_faults(kind, values, error))


def _faults(kind: Any, values: Any, error: ValidationError) -> Iterator[Fault]:
    """One for each place, where pydantic has one for each type that a value could have had."""
    by_place: dict[Place, list[Any]] = {}
    for found in error.errors():
        place = found["loc"] if found["type"] == "missing" else _existing(values, found["loc"])
        by_place.setdefault(place, []).append(found)
    misspelt = {_meant(kind, place) for place, found in by_place.items() if found[0]["type"] in UNKNOWN_KEY}
    for place, alternatives in by_place.items():
        if alternatives[0]["type"] != "missing" or place not in misspelt:
            yield Fault(place, _text(kind, place, alternatives))


def _meant(kind: Any, place: Place) -> Place:
    """The place that an unknown key may stand for."""
    *above, key = place
    return (*above, registry.nearest(key, sorted(_fields(_at(kind, tuple(above))))))


def _existing(values: Any, place: Place) -> Place:
    """A place as far as the values have it; behind it pydantic names types that it tried."""
    nothing = object()
    lengths = range(len(place), 0, -1)
    return next((place[:n] for n in lengths if value_at(values, place[:n], nothing) is not nothing), place)


def _text(kind: Any, place: Place, found: list[Any]) -> str:
    first = found[0]
    if first["type"] == "missing":
        return "this key is needed and not there."
    if first["type"] in UNKNOWN_KEY:
        return str(registry.unknown("key", place[-1], _fields(_at(kind, place[:-1]))))
    if first["type"] == "literal_error":
        return str(registry.unknown("value", first["input"], map(_word, get_args(_at(kind, place)))))
    return f"expected {_expected(found)}, got {shown(first['input'])}."


def _word(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _expected(found: list[Any]) -> str:
    words = [EXPECTED[f["type"]].format(**f.get("ctx", {})) if f["type"] in EXPECTED else f["msg"] for f in found]
    if "a number" in words:
        words = [word for word in words if word != "a whole number"]
    *others, last = dict.fromkeys(words)
    return f"{', '.join(others)}, or {last}" if others else last


# Types


def _bare(kind: Any) -> Any:
    """A type without its bounds, and without `| None`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        return _bare(members[0]) if len(members) == 1 else kind
    return kind


def _fields(kind: Any) -> dict[str, Any]:
    """The keys of a model or dataclass and their types; none for anything else."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {name: known.annotation for name, known in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return {known.name: hints[known.name] for known in dataclasses.fields(kind)}
    return {}


def _at(kind: Any, place: Place) -> Any:
    """The type of what is at a place."""
    kind = _bare(kind)
    for part in place:
        kind = _bare(_fields(kind).get(part) or get_args(kind)[1 if get_origin(kind) is dict else 0])
    return kind


def _readable(kind: Any, value: Any) -> Any:
    """See `read`."""
    with suppress(ValidationError):
        return _adapter(kind).validate_python(value)
    kind = _bare(kind)
    origin, of = get_origin(kind), get_args(kind)
    if fields := _fields(kind):
        return _readable_fields(kind, fields, value if isinstance(value, Mapping) else {})
    if origin in (list, tuple):
        return origin(_readable(of[0], entry) for entry in value) if isinstance(value, list | tuple) else origin()
    if origin is dict:
        entries = value.items() if isinstance(value, Mapping) else ()
        return {key: _readable(of[1], entry) for key, entry in entries if isinstance(key, str)}
    return EMPTY.get(kind)


def _readable_fields(kind: Any, fields: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    given = {name: _readable(of, values[name]) for name, of in fields.items() if name in values}
    if dataclasses.is_dataclass(kind):
        return kind(**given)  # type: ignore[operator]
    needed = {name: _readable(fields[name], None) for name, known in kind.model_fields.items() if known.is_required()}
    return kind.model_construct(**needed | given)
