"""Rows of the gateway's tables as the records that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

if TYPE_CHECKING:
    import sqlite3

__all__ = ["record"]

T = TypeVar("T")


def record(kind: type[T], row: sqlite3.Row) -> T:
    """A row as an attrs class whose fields are columns; SQLite's 0 and 1 become booleans where a field is one."""
    fields = attrs.fields(cast("Any", kind))
    return kind(**{field.name: _value(field.type, row[field.name]) for field in fields})


def _value(kind: Any, value: Any) -> Any:
    return bool(value) if kind in (bool, "bool") else value
