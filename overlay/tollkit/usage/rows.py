"""Rows of usage answers in each of their forms: decoded JSON, and models and bulk rows of the generated packages."""

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

__all__ = ["Group", "field", "groups", "is_answer", "names_of", "read", "to_rows", "where", "wire_name"]

Group = Literal["by_user", "by_pipeline_model", "events"]
GROUPS: tuple[Group, ...] = ("by_user", "by_pipeline_model", "events")


@lru_cache(maxsize=256)
def wire_name(name: str) -> str:
    """The camel case name on the wire: `fee_wei` is `feeWei`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


@lru_cache(maxsize=64)
def names_of(kind: Any) -> tuple[str, ...] | None:
    """The fields of a class of rows, in order; `None` for a class that has none: it is no model."""
    if attrs.has(kind):
        return tuple(attrs.fields_dict(kind))
    names: tuple[str, ...] | None = getattr(kind, "__struct_fields__", None)  # msgspec's, which need not be there
    return names


def field(row: object, name: str) -> Any:
    """A field by its Python name (`by_user`), from any form; `None` when it is not there."""
    if isinstance(row, Mapping):
        return cast("Mapping[str, Any]", row).get(wire_name(name))
    return getattr(row, name, None)


def read(rows: Iterable[object], *names: str) -> Iterator[tuple[Any, ...]]:
    """These fields of each row, by their Python names (two or more); `None` for those that are not there.

    Raises:
        ArgumentError: A row is neither a mapping nor an object with fields.
    """
    kind: Any = None
    getter: Callable[[Any], tuple[Any, ...]] | None = None
    for index, row in enumerate(rows):
        if type(row) is not kind or getter is None:
            kind = type(row)
            getter = _getter(kind, names)
            if getter is None:
                raise ArgumentError(f"rows[{index}]", f"must be a mapping or a model, not {kind.__name__}")
        yield getter(row)


def where(rows: Iterable[object], name: str, value: object) -> list[tuple[int, object]]:
    """The rows whose field is this value, each with its index.

    Raises:
        ArgumentError: A row is neither a mapping nor an object with fields.
    """
    listed = list(rows)
    kinds = set(map(type, listed))
    kind = kinds.pop() if len(kinds) == 1 else None
    found: Iterable[Any]
    if kind is not None and name in (names_of(kind) or ()):
        found = map(attrgetter(name), listed)
    else:
        found = (one for one, _ in read(listed, name, name))
    return [(index, listed[index]) for index, one in enumerate(found) if one == value]


@lru_cache(maxsize=64)
def _getter(kind: Any, names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]] | None:
    """What reads the fields from one kind of row, chosen once a kind, since an answer may have 50,000 rows."""
    if issubclass(kind, Mapping):
        wire = tuple(wire_name(name) for name in names)
        return lambda row: tuple(map(row.get, wire))
    fields = names_of(kind)
    if fields is None:
        return None
    known = [name for name in names if name in fields]
    if len(known) < 2 or tuple(known) != names[: len(known)]:
        return lambda row: tuple([getattr(row, name, None) for name in names])
    getter = attrgetter(*known)
    absent = (None,) * (len(names) - len(known))
    return (lambda row: getter(row) + absent) if absent else getter


def is_answer(source: object) -> bool:
    """Whether this is a whole answer of a usage API, and not a row or a list."""
    if isinstance(source, Mapping):
        return any(wire_name(name) in source for name in ("totals", *GROUPS))
    return any(hasattr(source, name) for name in ("totals", *GROUPS))


def _has_fields(value: object) -> bool:
    kind: Any = type(value)
    return isinstance(value, Mapping) or names_of(kind) is not None


def groups(answer: object, name: str) -> Iterable[object]:
    """The rows of one group of an answer; empty when it has none.

    Raises:
        ArgumentError: The group is there and no list, or the answer is none.
    """
    if not _has_fields(answer):
        raise ArgumentError("usage", f"must be an answer of the usage API, not {type(answer).__name__}")
    found = field(answer, name)
    if found is None:
        return ()
    if isinstance(found, str | bytes | Mapping) or not isinstance(found, Iterable):
        raise ArgumentError(name, f"must be a list of rows, not {type(cast('object', found)).__name__}")
    return cast("Iterable[object]", found)


def to_rows(source: object, group: Group | None = None) -> list[dict[str, Any]]:
    """Flat rows for a dataframe: `pandas.DataFrame(to_rows(answer))`, or `polars.DataFrame(...)`.

    Column names are snake case. There are no floats: amounts in micro-dollars and wei, counts and basis points are
    `int`; amounts in dollars and ether are `Decimal`; times are aware datetimes; the rest is text. All rows have the
    same columns; one that would be empty is left out. An amount or count that only some rows have is 0 in the
    others (as the platforms' sums take it), since a dataframe would turn a column with holes into floats; what else
    is missing is `None`.

    Args:
        source: One usage answer, or an iterable of them; decoded JSON or models.
        group: `by_user`, `by_pipeline_model` or `events`; may be left out when the answers have one of these only.

    Raises:
        ArgumentError: The answers have several groups and none was named, or a value is not of its column's kind.
    """
    answers = [source] if is_answer(source) else list(cast("Iterable[object]", source))
    if group is None:
        present: list[Group] = [name for name in GROUPS if any(field(answer, name) for answer in answers)]
        if len(present) > 1:
            raise ArgumentError("group", f"must be one of {', '.join(present)}, since the answers have all of these")
        if not present:
            return []
        group = present[0]
    rows = [_flat(row, group, index) for answer in answers for index, row in enumerate(groups(answer, group))]
    blank = {name: 0 if type(value) is int else None for row in rows for name, value in row.items()}
    return [row if len(row) == len(blank) else blank | row for row in rows]


def _flat(row: object, group: Group, index: int) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in _items(row, group, index):
        if value is None:
            continue
        column, kind, cell = _column(name)
        try:
            found = cell(value)
        except (InvalidOperation, TypeError, ValueError) as problem:
            raise ArgumentError(f"{group}[{index}].{name}", f"must be {kind}, got {shown(value)!r}") from problem
        if found is not None:
            flat[column] = found
    return flat


def _items(row: object, group: Group, index: int) -> Iterable[tuple[str, Any]]:
    if isinstance(row, Mapping):
        return cast("Mapping[str, Any]", row).items()
    kind: Any = type(row)
    names = names_of(kind)
    if names is None:
        raise ArgumentError(f"{group}[{index}]", f"must be a mapping or a model, not {type(row).__name__}")
    others: Mapping[str, Any] = getattr(row, "additional_properties", {})
    return [*((name, getattr(row, name)) for name in names if name != "additional_properties"), *others.items()]


@lru_cache(maxsize=256)
def _column(name: str) -> tuple[str, str, Callable[[Any], Any]]:
    """A field's column, the kind of its cells, and what makes one of a value (`None` for a value that is none)."""
    column = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    if re.search(r"_(micros|wei|bps|count)$", column):
        return column, "a whole number", _whole
    if re.search(r"_(usd|eth|exact|price)$", column):
        return column, "a decimal number", _fraction
    if column.endswith("_at"):
        return column, "a time in ISO 8601", _instant
    return column, "text or a number", _plain


def _whole(value: Any) -> int:
    found = parse_integer(value)
    if found is None:
        raise ValueError("no whole number")
    return found


def _fraction(value: Any) -> Decimal:
    return Decimal(repr(value) if isinstance(value, float) else value)


def _instant(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(value: Any) -> Any:
    if type(value) is str or isinstance(value, int | Decimal | datetime):
        return value
    if isinstance(value, float):
        return _fraction(value)
    return None if isinstance(value, list | Mapping) else str(value)
