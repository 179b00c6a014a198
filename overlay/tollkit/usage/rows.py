"""Rows of usage answers in either of their forms: decoded JSON, and models of the generated packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from tollkit.errors import ArgumentError
from tollkit.usage.amounts import parse_integer, shown

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MISSING", "Group", "field", "groups", "is_answer", "read", "to_rows", "wire_name"]

Group = Literal["by_user", "by_pipeline_model", "events"]
GROUPS: tuple[Group, ...] = ("by_user", "by_pipeline_model", "events")


class _Missing:
    """A field that is not there, which JSON tells from null. It is false."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()


@lru_cache(maxsize=256)
def wire_name(name: str) -> str:
    """The camel case name on the wire: `fee_wei` is `feeWei`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@lru_cache(maxsize=256)
def _snake_name(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def field(row: object, name: str) -> Any:
    """A field by its Python name (`by_user`), from either form; `MISSING` when it is not there."""
    if isinstance(row, Mapping):
        return cast("Mapping[str, Any]", row).get(wire_name(name), MISSING)
    return getattr(row, name, MISSING)


def read(rows: Iterable[object], *names: str) -> Iterator[tuple[Any, ...]]:
    """These fields of each row, by their Python names; two or more.

    Raises:
        ArgumentError: A row is neither a mapping nor an object with fields.
    """
    kind: type | None = None
    getter: Callable[[Any], tuple[Any, ...]] | None = None
    for index, row in enumerate(rows):
        if type(row) is not kind or getter is None:
            kind = type(row)
            getter = _getter(kind, names)
            if getter is None:
                raise ArgumentError(f"rows[{index}]", f"must be a mapping or a model, not {kind.__name__}")
        yield getter(row)


@lru_cache(maxsize=64)
def _getter(kind: type, names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]] | None:
    """What reads the fields from one kind of row, chosen once a kind, since an answer may have 50,000 rows."""
    if issubclass(kind, Mapping):
        wire = tuple(wire_name(name) for name in names)
        return lambda row: tuple([row.get(name, MISSING) for name in wire])
    if kind in (str, bytes, int, float, bool, type(None), list, tuple):
        return None
    if attrs.has(kind) and set(names) <= set(attrs.fields_dict(kind)):
        return attrgetter(*names)
    return lambda row: tuple([getattr(row, name, MISSING) for name in names])


def is_answer(source: object) -> bool:
    """Whether this is a whole answer of a usage API, and not a row or a list."""
    if isinstance(source, Mapping):
        return any(wire_name(name) in source for name in ("totals", *GROUPS))
    return any(hasattr(source, name) for name in ("totals", *GROUPS))


def groups(answer: object, name: str) -> Iterable[object]:
    """The rows of one group of an answer; empty when it has none.

    Raises:
        ArgumentError: The group is there and no list.
    """
    found = field(answer, name)
    if found is MISSING or found is None:
        return ()
    if isinstance(found, str | bytes | Mapping) or not isinstance(found, Iterable):
        raise ArgumentError(name, f"must be a list of rows, not {type(cast('object', found)).__name__}")
    return cast("Iterable[object]", found)


def to_rows(source: object, group: Group | None = None) -> list[dict[str, Any]]:
    """Flat rows for a dataframe: `pandas.DataFrame(to_rows(answer))`, or `polars.DataFrame(...)`.

    Column names are snake case. There are no floats: amounts in micro-dollars and wei, counts and basis points are
    `int`; amounts in dollars and ether are `Decimal`; times are aware datetimes; the rest is text. A column that no
    row has is left out. An amount or count that only some rows have is 0 in the others (as the platforms' sums
    take it), since a dataframe would turn a column with holes into floats.

    Args:
        source: One usage answer, or an iterable of them; decoded JSON or models.
        group: `by_user`, `by_pipeline_model` or `events`; may be left out when the answers have one of these only.

    Raises:
        ArgumentError: The answers have several groups and none was named, or a value is not of its column's kind.
    """
    answers = [source] if is_answer(source) else list(cast("Iterable[object]", source))
    if group is None:
        present = [name for name in GROUPS if any(field(answer, name) for answer in answers)]
        if len(present) > 1:
            raise ArgumentError("group", f"must be one of {', '.join(present)}, since the answers have all of these")
        if not present:
            return []
        group = present[0]
    rows = [
        _flat(row, f"{group}[{index}]") for answer in answers for index, row in enumerate(groups(answer, group))
    ]
    whole = {name for row in rows for name, value in row.items() if type(value) is int}
    return [{**dict.fromkeys(whole - row.keys(), 0), **row} for row in rows] if whole else rows


def _flat(row: object, place: str) -> dict[str, Any]:
    if isinstance(row, Mapping):
        items = [(_snake_name(name), value) for name, value in cast("Mapping[str, Any]", row).items()]
    elif attrs.has(type(row)):
        names = [name for name in attrs.fields_dict(type(row)) if name != "additional_properties"]
        items = [(name, getattr(row, name)) for name in names]
        others: Mapping[str, Any] = getattr(row, "additional_properties", {})
        items += [(_snake_name(name), value) for name, value in others.items()]
    else:
        raise ArgumentError(place, f"must be a mapping or a model, not {type(row).__name__}")
    return {
        name: _cell(name, value, f"{place}.{name}")
        for name, value in items
        if value is not None and not isinstance(value, list | Mapping)
    }


_WHOLE = re.compile(r"_(micros|wei|bps|count)$")
_FRACTION = re.compile(r"_(usd|eth|exact|price)$")
_TIME = re.compile(r"_at$")


def _cell(name: str, value: Any, place: str) -> Any:
    if isinstance(value, Decimal | datetime | bool):
        return value
    if _WHOLE.search(name):
        whole = parse_integer(value)
        if whole is None:
            raise ArgumentError(place, f"must be a whole number, got {shown(value)!r}")
        return whole
    if isinstance(value, float) or _FRACTION.search(name):
        return _fraction(value, place)
    if isinstance(value, int):
        return value
    return _instant(str(value), place) if _TIME.search(name) else str(value)


def _fraction(value: Any, place: str) -> Decimal:
    try:
        return Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError) as problem:
        raise ArgumentError(place, f"must be a decimal number, got {shown(value)!r}") from problem


def _instant(value: str, place: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as problem:
        raise ArgumentError(place, f"must be a time in ISO 8601, got {shown(value)!r}") from problem
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
