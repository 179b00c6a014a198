"""JSON values to Python values, with an error that says where in the document the trouble is.

A decoder is a function of one JSON value that returns the Python value or raises `DecodeError`. It does
not know where its value stands: whoever went into a key or an index adds that step to an error that
passes by. A document without errors therefore pays nothing for the path.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final, NoReturn, TypeGuard, TypeVar, cast

from .collector import paused
from .enums import OpenEnum
from .errors import DecodeError
from .types import Secret

__all__ = [
    "NO_FIELDS",
    "DecodeError",
    "anything",
    "boolean",
    "calendar_date",
    "constant",
    "date_time",
    "decimal",
    "decimal_number",
    "dict_of",
    "failed",
    "int_string",
    "integer",
    "is_array",
    "list_of",
    "mapping",
    "members",
    "missing",
    "mistyped",
    "names_only",
    "new",
    "nothing",
    "nullable",
    "number",
    "one_of",
    "open_enum",
    "secret",
    "tagged",
    "text",
    "unknown_fields",
]

T = TypeVar("T")
E = TypeVar("E", bound=OpenEnum)
Decoder = Callable[[Any], T]


class _NoFields(Mapping[str, Any]):
    """An empty mapping that nobody can change; there is one, also after pickle and copy."""

    __slots__ = ()

    def __getitem__(self, key: str) -> NoReturn:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NO_FIELDS"


NO_FIELDS: Final[Mapping[str, Any]] = _NoFields()
"""`additional_properties` of every object that has none: one for all, so that a row allocates nothing."""

new = object.__new__
"""What `from_dict` makes its object with; bound once, since it stands in the path of every row."""

_MANY = 1_000  # items of a list from which the collector's looks are worth a pause
_INT_STRING = re.compile(r"-?[0-9]+", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,6})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def json_type(value: Any) -> str:
    """The name that JSON has for the type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case Mapping():
            return "object"
        case _:
            return type(value).__name__


def mistyped(expected: str, value: Any) -> DecodeError:
    """The error for a value of another JSON type than the document promises."""
    return DecodeError(expected, json_type(value))


def missing(key: str) -> DecodeError:
    """The error for a required field that is not there."""
    return DecodeError("a value, since the field is required", "nothing").at(key)


def failed(error: KeyError | ValueError, unfinished: object, fields: Mapping[str, str]) -> DecodeError:
    """What `from_dict` raises for an error that happened at one of its fields.

    It reads its fields in turn, so that the first attribute which is not set tells the field; a good
    document pays nothing for that.

    Args:
        error: the error.
        unfinished: the object as far as it was read.
        fields: wire name -> attribute, in the order of reading.
    """
    key = next(key for key, name in fields.items() if not hasattr(unfinished, name))
    if isinstance(error, DecodeError):
        return error.at(key)
    if isinstance(error, KeyError):
        return missing(key)
    return _too_long().at(key)  # int() of a text that is all digits has no other reason


def _too_long() -> DecodeError:
    limit = sys.get_int_max_str_digits()
    return DecodeError("decimal text of an integer", f"one of more than {limit} digits")


def names_only(fields: Mapping[str, Any]) -> str:
    """The repr of unknown fields: their names alone, since nobody knows which of them hold secrets."""
    return f"<{', '.join(fields)}>"


def anything(value: Any) -> Any:
    return value


def nothing(value: Any) -> None:
    if value is not None:
        raise mistyped("null", value)


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise mistyped("string", value)


def secret(value: Any) -> Secret:
    if isinstance(value, str):
        return Secret(value)
    raise mistyped("string", value)


def integer(value: Any) -> int:
    """A whole number; 3.0 is one, since JSON does not tell it from 3, and true is none."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise mistyped("integer", value)


def number(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise DecodeError("number", "an integer beyond the range of a double") from None
    raise mistyped("number", value)


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise mistyped("boolean", value)


def int_string(value: Any) -> int:
    """A whole number as decimal text ("-12"): no plus, no blanks, no separators, ASCII digits."""
    if not isinstance(value, str):
        raise mistyped("decimal text of an integer", value)
    if _INT_STRING.fullmatch(value) is None:
        raise DecodeError("decimal text of an integer", "another string")
    try:
        return int(value)
    except ValueError:
        raise _too_long() from None


def decimal(value: Any) -> Decimal:
    """A decimal number as text ("0.00042", "1e-7"): no plus, no blanks, ASCII digits, finite."""
    if not isinstance(value, str):
        raise mistyped("decimal text", value)
    if _DECIMAL.fullmatch(value) is None:
        raise DecodeError("decimal text", "another string")
    return Decimal(value)


def decimal_number(value: Any) -> Decimal:
    """A decimal number as a JSON number: 0.1 is `Decimal("0.1")`, the shortest text that means the same double."""
    if type(value) is float:
        if isfinite(value):
            return Decimal(repr(value))
        raise DecodeError("number", "one beyond the range of a double")
    if type(value) is int:
        return Decimal(value)
    raise mistyped("number", value)


def date_time(value: Any) -> datetime:
    """An instant (RFC 3339), aware; digits beyond microseconds are cut off."""
    if not isinstance(value, str):
        raise mistyped("date-time with an offset", value)
    try:
        result = datetime.fromisoformat(value)
    except ValueError:
        raise DecodeError("date-time with an offset", "another string") from None
    if result.tzinfo is None:
        raise DecodeError("date-time with an offset", "one without")
    return result


def calendar_date(value: Any) -> date:
    """A day of the calendar: "2026-05-28"."""
    if not isinstance(value, str):
        raise mistyped("date", value)
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise DecodeError("date", "another string")


def mapping(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    raise mistyped("object", value)


def constant(*values: str | int | bool) -> Decoder[Any]:
    """The decoder of a field that has one value (or one of a few) and no other."""
    expected = " or ".join(repr(value) for value in values)

    def decode(value: Any) -> Any:
        for known in values:
            if type(value) is type(known) and value == known:
                return known
        kind = json_type(value)
        raise DecodeError(expected, f"another {kind}" if any(json_type(v) == kind for v in values) else kind)

    return decode


def members(enum: type[E]) -> Mapping[str, E]:
    """Value -> member of an enumeration."""
    return {member.value: member for member in enum}


def open_enum(enum: type[E]) -> Decoder[E | str]:
    """The decoder of an enumeration that may grow: a member, or the text itself if no member has it."""
    known = members(enum)

    def decode(value: Any) -> E | str:
        if isinstance(value, str):
            return known.get(value, value)
        raise mistyped("string", value)

    return decode


def nullable(decode: Decoder[T]) -> Decoder[T | None]:
    def decode_nullable(value: Any) -> T | None:
        return None if value is None else decode(value)

    return decode_nullable


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether a JSON value is an array."""
    return isinstance(value, list)


def list_of(decode: Decoder[T]) -> Decoder[list[T]]:
    """The decoder of an array; an error names the index."""

    def decode_list(value: Any) -> list[T]:
        if not is_array(value):
            raise mistyped("array", value)
        try:
            if len(value) < _MANY:
                return [decode(item) for item in value]
            with paused():
                return [decode(item) for item in value]
        except DecodeError:
            return _step_by_step(decode, value)  # again, for the index of the first bad item

    return decode_list


def _step_by_step(decode: Decoder[T], items: list[Any]) -> list[T]:
    result: list[T] = []
    for index, item in enumerate(items):
        try:
            result.append(decode(item))
        except DecodeError as error:
            raise error.at(index) from None
    return result


def dict_of(decode: Decoder[T]) -> Decoder[dict[str, T]]:
    """The decoder of an object whose keys are data; an error names the key."""

    def decode_dict(value: Any) -> dict[str, T]:
        result: dict[str, T] = {}
        for key, item in mapping(value).items():
            try:
                result[key] = decode(item)
            except DecodeError as error:
                raise error.at(key) from None
        return result

    return decode_dict


def one_of(expected: str, *decoders: Decoder[Any]) -> Decoder[Any]:
    """The decoder of a value that has one of several shapes: the first that fits.

    Where none fits, the error is that of the shape which got furthest into the document.
    """

    def decode(value: Any) -> Any:
        furthest: DecodeError | None = None
        for attempt in decoders:
            try:
                return attempt(value)
            except DecodeError as error:
                if furthest is None or error.depth > furthest.depth:
                    furthest = error
        if furthest is None or furthest.depth == 0:
            raise mistyped(expected, value)
        raise furthest

    return decode


def tagged(tag: str, choices: Mapping[str, Decoder[Any]], otherwise: Decoder[Any] | None = None) -> Decoder[Any]:
    """The decoder of an object whose field `tag` says which of several shapes it has (a discriminator).

    Args:
        tag: wire name of that field.
        choices: value of the field -> decoder of the shape.
        otherwise: decoder for values that the document does not know; without it they are an error.
    """
    expected = " or ".join(repr(choice) for choice in choices)

    def decode(value: Any) -> Any:
        fields = mapping(value)
        name = fields.get(tag)
        if name is None:
            raise missing(tag)
        choice = choices.get(name, otherwise) if isinstance(name, str) else None
        if choice is None:
            got = "another string" if isinstance(name, str) else json_type(name)
            raise DecodeError(expected, got).at(tag)
        return choice(fields)

    return decode


def unknown_fields(
    fields: Mapping[str, Any], known: frozenset[str], decode: Decoder[T] | None = None
) -> dict[str, T]:
    """The fields of an object that its document does not list, which are kept as they came.

    Args:
        fields: the object.
        known: wire names that the document lists.
        decode: decoder of the values, where the document says what they are.
    """
    unknown = {key: value for key, value in fields.items() if key not in known}
    return unknown if decode is None else dict_of(decode)(unknown)
