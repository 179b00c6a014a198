"""Postgres' types over SQLite's values: their names, what they take, and how the gateway writes them in JSON.

A value is stored in one form of its type, so that SQLite compares it as Postgres does: times as
`2026-01-01T00:00:00.000000+00:00`, booleans as 0 and 1, JSON and arrays as compact JSON text.
"""

from __future__ import annotations

import json
import re
import uuid
from calendar import monthrange
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, cast

__all__ = ["LONG_NAMES", "SqlError", "canonical", "compact", "in_order", "shifted", "shown", "stored", "to_json"]

LONG_NAMES = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "varchar": "character varying",
    "bpchar": "character",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
}
"""The names in which Postgres describes a schema, by the short ones."""

_NAMES = {
    **{long: short for short, long in LONG_NAMES.items()},
    "int": "int4",
    "float": "float8",
    "decimal": "numeric",
    "char": "bpchar",
    "time with time zone": "timetz",
    "character varying": "varchar",
    "bit varying": "varbit",
    **dict.fromkeys(("text", "uuid", "json", "jsonb", "date", "numeric", "interval", "bytea", "citext", "inet"), ""),
}
_SIZES = {"int2": 15, "int4": 31, "int8": 63}
_UNITS = {
    "microsecond": 1e-6,
    "millisecond": 1e-3,
    "second": 1.0,
    "sec": 1.0,
    "minute": 60.0,
    "min": 60.0,
    "hour": 3_600.0,
    "day": 86_400.0,
    "week": 604_800.0,
}
_MONTHS = {"month": 1, "mon": 1, "year": 12}
_INTERVAL = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-z]+?)s?(?=[\s\d+-]|$)")


class SqlError(Exception):
    """What the database refuses.

    Args:
        message: In the words of Postgres.
        state: Its SQLSTATE.
    """

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.message = message
        self.state = state


def canonical(name: str) -> str:
    """The short name of a type, as `pg_type` has it: `int4`, `timestamptz`, `_text` for `text[]`.

    Args:
        name: As a statement writes it, in lower case, blanks single: `character varying(20)`, `text[]`.

    Raises:
        SqlError: The sandbox does not know the type.
    """
    bare = re.sub(r"\s*\([^)]*\)", "", name).strip()
    array = bare.endswith("[]") or bare.startswith("_")
    bare = bare.removeprefix("_").removesuffix("[]").strip()
    short = bare if bare in LONG_NAMES else (_NAMES.get(bare) or (bare if bare in _NAMES else ""))
    if not short:
        raise SqlError(f'type "{bare}" does not exist', "42704")
    return f"_{short}" if array else short


def stored(kind: str, value: Any, limit: int | None = None, scale: int | None = None) -> Any:
    """A value in the form in which it is stored.

    Args:
        kind: The short name of the type.
        value: What a statement or a request gave; None stays None.
        limit: Of `varchar(n)`, or all digits of `numeric(p, s)`.
        scale: Digits behind the point of `numeric(p, s)`; none when there is only a limit.

    Raises:
        SqlError: The type does not take it, in Postgres' words.
    """
    if value is None:
        return None
    if kind.startswith("_"):
        return _array(kind, value)
    match kind:
        case "int2" | "int4" | "int8":
            return _whole(kind, value)
        case "float4" | "float8":
            return _number(kind, value, float)
        case "numeric":
            number = _number(kind, value, Decimal)
            if number.is_infinite() and limit is not None:
                raise SqlError("numeric field overflow", "22003")
            if not number.is_finite():
                raise SqlError(f"the sandbox's database has no {number} in numeric", "0A000")
            if limit is not None:
                number = _rounded(number, limit, scale or 0)
            return int(number) if number == number.to_integral_value() and abs(number) < 2**63 else float(number)
        case "bool":
            return _boolean(value)
        case "uuid":
            try:
                return str(uuid.UUID(str(value)))
            except ValueError:
                raise _invalid("uuid", value) from None
        case "json" | "jsonb":
            return _json(kind, value)
        case "timestamptz" | "timestamp" | "date" | "time":
            return _moment(kind, value)
        case _:
            text = value if isinstance(value, str) else _text(value)
            if limit is not None and len(text) > limit:
                raise SqlError(f"value too long for type {LONG_NAMES.get(kind, kind)}({limit})", "22001")
            return text


def _invalid(kind: str, value: Any) -> SqlError:
    state = "22007" if kind in ("timestamp with time zone", "timestamp without time zone", "date") else "22P02"
    return SqlError(f'invalid input syntax for type {kind}: "{value}"', state)


def _whole(kind: str, value: Any) -> int:
    try:
        # half away from zero, as Postgres rounds what is written with a point
        number = int(Decimal(str(value)).quantize(1, ROUND_HALF_UP) if isinstance(value, float) else value)
    except (ValueError, OverflowError, TypeError, InvalidOperation):
        raise _invalid(LONG_NAMES[kind], value) from None
    if not -(2 ** _SIZES[kind]) <= number < 2 ** _SIZES[kind]:
        raise SqlError(f'value "{value}" is out of range for type {LONG_NAMES[kind]}', "22003")
    return number


def _number(kind: str, value: Any, make: Any) -> Any:
    try:
        return make(str(value).strip())
    except (ValueError, InvalidOperation):
        raise _invalid(LONG_NAMES.get(kind, kind), value) from None


def _rounded(number: Decimal, digits: int, scale: int) -> Decimal:
    """A number as `numeric(digits, scale)` keeps it."""
    if number.adjusted() <= digits:
        number = number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, Context(prec=2_000))
    if number and number.adjusted() >= digits - scale:
        raise SqlError("numeric field overflow", "22003")
    return number


def _boolean(value: Any) -> int:
    if isinstance(value, int):
        return int(bool(value))
    word = str(value).strip().lower()
    if word in ("t", "true", "yes", "y", "on", "1"):
        return 1
    if word in ("f", "false", "no", "n", "off", "0"):
        return 0
    raise _invalid("boolean", value)


def _json(kind: str, value: Any) -> str:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise SqlError("invalid input syntax for type json", "22P02") from None
    return compact(in_order(value) if kind == "jsonb" else value)


def in_order(value: Any) -> Any:
    """JSON as `jsonb` keeps it: short keys first, those of one length by their bytes."""
    if isinstance(value, dict):
        keys = sorted(cast("dict[str, Any]", value), key=lambda key: (len(key.encode()), key.encode()))
        return {key: in_order(value[key]) for key in keys}
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        return [in_order(item) for item in items]
    return value


def compact(value: Any) -> str:
    """JSON without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text(value: Any) -> str:
    return compact(value) if isinstance(value, (dict, list, bool)) else str(value)


def _array(kind: str, value: Any) -> str:
    items: Any = value
    if isinstance(value, str):
        if value.startswith("{") and value.endswith("}"):
            items = _of_braces(value[1:-1])
        else:
            try:
                items = json.loads(value)
            except ValueError:
                items = None
    if not isinstance(items, list):
        raise SqlError(f'malformed array literal: "{value}"', "22P02")
    return compact([to_json(kind[1:], stored(kind[1:], item), exact=True) for item in items])  # pyright: ignore[reportUnknownVariableType]


def _of_braces(text: str) -> list[str | None]:
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|([^,]+)', text)
    return [
        None if bare.strip().upper() == "NULL" else re.sub(r"\\(.)", r"\1", quoted) or bare.strip()
        for quoted, bare in found
    ]


def _moment(kind: str, value: Any) -> str:
    text = str(value).strip()
    try:
        if kind == "time":
            return time.fromisoformat(text).isoformat()
        told = datetime.fromisoformat(re.sub(r"([+-]\d\d)$", r"\1:00", text) if ":" in text else text)
    except ValueError:
        raise _invalid(LONG_NAMES.get(kind, kind), value) from None
    if kind == "date":
        return told.date().isoformat()
    if kind == "timestamp":
        return told.replace(tzinfo=None).isoformat(timespec="microseconds")
    aware = told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    return aware.isoformat(timespec="microseconds")


def shifted(value: Any, sign: str, interval: Any) -> str | None:
    """A moment plus or minus an interval such as `7 days` or `1 hour 30 minutes`.

    Raises:
        SqlError: It is no interval, or no moment.
    """
    if value is None or interval is None:
        return None
    text, place, factor = str(interval).strip().lower(), 0, 1 if sign == "+" else -1
    moment = datetime.fromisoformat(_moment("timestamptz", value))
    while place < len(text):
        found = _INTERVAL.match(text, place)
        if found is None:
            raise _invalid("interval", interval)
        amount, unit, place = float(found[1]) * factor, found[2], found.end()
        if unit in _UNITS:
            moment += timedelta(seconds=amount * _UNITS[unit])
        elif unit in _MONTHS:
            months = moment.year * 12 + moment.month - 1 + int(amount * _MONTHS[unit])
            moment = _in_month(moment, *divmod(months, 12))
        else:
            raise _invalid("interval", interval)
    return moment.isoformat(timespec="microseconds")


def _in_month(moment: datetime, year: int, month: int) -> datetime:
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def to_json(kind: str | None, value: Any, *, exact: bool = False, scale: int | None = None) -> Any:
    """A stored value as it stands in an answer.

    Args:
        kind: The short name of its type; None when nobody knows.
        value: As stored.
        exact: The way of the REST routes, where big integers are numbers and times keep their microseconds. Else the
            way of the SQL route, where `int8` and `numeric` are text and times end in milliseconds and `Z`.
        scale: Digits behind the point of `numeric(p, s)`, which are all written in the text.
    """
    if value is None or kind is None:
        return value
    if kind.startswith("_") or kind in ("json", "jsonb"):
        told = json.loads(value) if isinstance(value, str) else value
        if kind in ("_date", "_timestamp", "_timestamptz") and isinstance(told, list):
            moments: list[Any] = told  # pyright: ignore[reportUnknownVariableType]
            return [to_json(kind[1:], moment, exact=exact) for moment in moments]
        return in_order(told) if kind == "jsonb" else told
    match kind:
        case "bool":
            return bool(value)
        case "int8" | "numeric" if not exact:
            return str(value) if scale is None else f"{Decimal(str(value)):.{scale}f}"
        case "float4" | "float8" if isinstance(value, float) and value.is_integer():
            return int(value)
        case "timestamptz" | "timestamp" | "date" if not exact and isinstance(value, str):
            told = datetime.fromisoformat(value)
            return f"{told:%Y-%m-%dT%H:%M:%S}.{told.microsecond // 1000:03d}Z"
        case "timestamptz" | "timestamp" if isinstance(value, str):
            return re.sub(r"(\.\d*?)0+(?=$|\+)", lambda part: part[1].rstrip("."), value)
        case _:
            return value


def shown(value: Any, kind: str, scale: int | None = None) -> Any:
    """A stored value as `::text` tells it, where that is not the form in which it is stored.

    Args:
        value: As stored.
        kind: The short name of its type.
        scale: Digits behind the point of `numeric(p, s)`.
    """
    if value is None:
        return None
    if kind in ("timestamptz", "timestamp"):
        told = re.sub(r"\.?0*(?=$|[+])", "", str(value).replace("T", " "), count=1)
        return re.sub(r"([+-]\d\d):00$", r"\1", told)
    return value if scale is None else f"{Decimal(str(value)):.{scale}f}"
