"""Functions and operators of Postgres that SQLite lacks, or knows in another way."""

from __future__ import annotations

import hashlib
import json
import re
from calendar import timegm
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, cast, overload

from tollkit.sandbox.run402.pgtypes import SqlError, compact, in_order

__all__ = ["FUNCTIONS"]

_LONGEST = 10_000_000
"""Characters that a function gives at most; the database is in memory."""


@overload
def _strict(body: Callable[[Any], Any]) -> Callable[..., Any]: ...
@overload
def _strict(body: Callable[[Any, Any], Any]) -> Callable[..., Any]: ...
@overload
def _strict(body: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]: ...
@overload
def _strict(body: Callable[[Any, Any, Any, Any], Any]) -> Callable[..., Any]: ...
def _strict(body: Callable[..., Any]) -> Callable[..., Any]:
    """Null where an argument is null, as most functions of Postgres."""

    def called(*arguments: Any) -> Any:
        return None if None in arguments else body(*arguments)

    return called


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


# -------------------------------------------------------------------- operators


def _divided(left: Any, right: Any, exact: int) -> Any:
    if right == 0:
        raise SqlError("division by zero", "22012")
    if isinstance(left, int) and isinstance(right, int):
        whole, rest = divmod(abs(left), abs(right))
        if not exact or not rest:
            return whole if (left < 0) == (right < 0) else -whole
    if exact:
        return float(Decimal(str(left)) / Decimal(str(right)))
    return left / right


def _rest(left: Any, right: Any) -> Any:
    if right == 0:
        raise SqlError("division by zero", "22012")
    if isinstance(left, int) and isinstance(right, int):
        return abs(left) % abs(right) * (-1 if left < 0 else 1)
    return float(Decimal(str(left)) % Decimal(str(right)))


def _joined(left: Any, right: Any, kind: str) -> str:
    """`||` of JSON and of arrays."""
    one, two = _members(left), _members(right)
    if kind == "jsonb" and isinstance(one, dict) and isinstance(two, dict):
        return compact(in_order({**cast("dict[str, Any]", one), **cast("dict[str, Any]", two)}))
    return compact([*_items(one), *_items(two)])


def _without(value: Any, key: Any) -> str:
    """`jsonb - key`, or a place in a list."""
    found = _members(value)
    if isinstance(found, dict):
        return compact({name: of for name, of in cast("dict[str, Any]", found).items() if name != key})
    items = _items(found)
    if isinstance(key, int):
        place = key if key >= 0 else len(items) + key
        return compact([item for at, item in enumerate(items) if at != place])
    return compact([item for item in items if item != key])


def _items(value: Any) -> list[Any]:
    return [*value] if isinstance(value, list) else [value]


def _members(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value.startswith("{") and not value.startswith('{"') and value != "{}":  # an array in Postgres' braces
        return [part.strip('"') for part in value[1:-1].split(",")]
    try:
        return json.loads(value)
    except ValueError:
        return value


def _days_plus(left: Any, right: Any) -> str:
    day, days = (left, right) if isinstance(left, str) else (right, left)
    return (date.fromisoformat(day[:10]) + timedelta(days=days)).isoformat()


def _days_minus(left: Any, right: Any) -> Any:
    if isinstance(right, str):
        return (date.fromisoformat(left[:10]) - date.fromisoformat(right[:10])).days
    return (date.fromisoformat(left[:10]) - timedelta(days=right)).isoformat()


def _most(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return max(known, default=None)


def _least(*values: Any) -> Any:
    known = [value for value in values if value is not None]
    return min(known, default=None)


# -------------------------------------------------------------------- texts


def _padded(text: Any, length: int, fill: str, *, left: bool) -> str:
    shown = _text(text)
    missing = min(length, _LONGEST) - len(shown)
    if missing <= 0 or not fill:
        return shown[: max(length, 0)]
    more = (fill * (missing // len(fill) + 1))[:missing]
    return more + shown if left else shown + more


def _first(text: Any, count: int) -> str:
    return _text(text)[:count]


def _last(text: Any, count: int) -> str:
    return _text(text)[-count:] if count else ""


def _repeated(text: Any, times: int) -> str:
    shown = _text(text)
    if len(shown) * times > _LONGEST:
        raise SqlError("requested length too large", "54000")
    return shown * times


def _capitals(text: Any) -> str:
    return re.sub(r"[^\W_]+", lambda word: word[0][:1].upper() + word[0][1:].lower(), _text(text))


def _joined_by(sign: Any, *parts: Any) -> str | None:
    return None if sign is None else _text(sign).join(_text(part) for part in parts if part is not None)


def _replaced(text: Any, pattern: str, replacement: str, flags: str = "") -> str:
    told = (re.IGNORECASE if "i" in flags else 0) | (re.DOTALL if "n" not in flags else 0)
    by = re.sub(r"\\([0-9&])", lambda sign: r"\g<0>" if sign[1] == "&" else rf"\g<{sign[1]}>", replacement)
    try:
        return re.sub(pattern, by, _text(text), count=0 if "g" in flags else 1, flags=told)
    except (re.error, IndexError) as error:
        raise SqlError(f"invalid regular expression: {error}", "2201B") from None


def _translated(text: Any, signs: str, others: str) -> str:
    table = {ord(sign): others[at] if at < len(others) else None for at, sign in reversed(list(enumerate(signs)))}
    return _text(text).translate(table)


# -------------------------------------------------------------------- JSON and arrays


def _kind_of(value: Any) -> str:
    match json.loads(value) if isinstance(value, str) else value:
        case bool():
            return "boolean"
        case None:
            return "null"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _length(array: Any) -> int:
    found = _members(array)
    return len(_items(found)) if isinstance(found, list) else 0


# -------------------------------------------------------------------- times


def _moment(value: Any) -> datetime:
    found = datetime.fromisoformat(_text(value))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_PARTS: Mapping[str, Callable[[datetime], Any]] = {
    "year": lambda at: at.year,
    "month": lambda at: at.month,
    "day": lambda at: at.day,
    "hour": lambda at: at.hour,
    "minute": lambda at: at.minute,
    "second": lambda at: at.second + at.microsecond / 1_000_000,
    "milliseconds": lambda at: at.second * 1000 + at.microsecond / 1000,
    "microseconds": lambda at: at.second * 1_000_000 + at.microsecond,
    "epoch": lambda at: timegm(at.utctimetuple()) + at.microsecond / 1_000_000,
    "dow": lambda at: at.isoweekday() % 7,
    "isodow": lambda at: at.isoweekday(),
    "doy": lambda at: at.timetuple().tm_yday,
    "week": lambda at: at.isocalendar().week,
    "isoyear": lambda at: at.isocalendar().year,
    "quarter": lambda at: (at.month + 2) // 3,
    "decade": lambda at: at.year // 10,
    "century": lambda at: (at.year + 99) // 100,
}


def _part(field: str, value: Any) -> Any:
    part = _PARTS.get(field.lower())
    if part is None:
        raise SqlError(f'unit "{field}" not recognized', "22023")
    return part(_moment(value))


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WRITTEN: Mapping[str, Callable[[datetime], str]] = {
    "YYYY": lambda at: f"{at.year:04d}",
    "YY": lambda at: f"{at.year % 100:02d}",
    "MM": lambda at: f"{at.month:02d}",
    "DDD": lambda at: f"{at.timetuple().tm_yday:03d}",
    "DD": lambda at: f"{at.day:02d}",
    "HH24": lambda at: f"{at.hour:02d}",
    "HH12": lambda at: f"{at.hour % 12 or 12:02d}",
    "HH": lambda at: f"{at.hour % 12 or 12:02d}",
    "MI": lambda at: f"{at.minute:02d}",
    "SS": lambda at: f"{at.second:02d}",
    "MS": lambda at: f"{at.microsecond // 1000:03d}",
    "US": lambda at: f"{at.microsecond:06d}",
    "AM": lambda at: "AM" if at.hour < 12 else "PM",
    "PM": lambda at: "AM" if at.hour < 12 else "PM",
    "Month": lambda at: f"{_MONTHS[at.month - 1]:<9}",
    "Mon": lambda at: _MONTHS[at.month - 1][:3],
    "MON": lambda at: _MONTHS[at.month - 1][:3].upper(),
    "Day": lambda at: f"{_DAYS[at.weekday()]:<9}",
    "Dy": lambda at: _DAYS[at.weekday()][:3],
    "IW": lambda at: f"{at.isocalendar().week:02d}",
    "IYYY": lambda at: f"{at.isocalendar().year:04d}",
    "Q": lambda at: str((at.month + 2) // 3),
    "TZ": lambda _: "UTC",
}
_PATTERN = re.compile(r'"([^"]*)"|(' + "|".join(sorted(_WRITTEN, key=len, reverse=True)) + r")|([A-Za-z]+)")


def _to_char(value: Any, pattern: str) -> str:
    if not isinstance(value, str):
        raise SqlError("the sandbox's database does not know to_char of numbers", "0A000")
    at = _moment(value)

    def one(found: re.Match[str]) -> str:
        if found[3]:
            raise SqlError(f'the sandbox\'s database does not know "{found[3]}" in to_char', "0A000")
        return _WRITTEN[found[2]](at) if found[2] else found[1]

    return _PATTERN.sub(one, pattern)


def _to_timestamp(seconds: Any) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


FUNCTIONS: Mapping[tuple[str, int], Callable[..., Any]] = {
    ("pg_divided", 3): _strict(_divided),
    ("pg_rest", 2): _strict(_rest),
    ("pg_joined", 3): _strict(_joined),
    ("pg_without", 2): _strict(_without),
    ("pg_days_plus", 2): _strict(_days_plus),
    ("pg_days_minus", 2): _strict(_days_minus),
    ("pg_greatest", -1): _most,
    ("pg_least", -1): _least,
    ("pg_left", 2): _strict(_first),
    ("pg_right", 2): _strict(_last),
    ("pg_part", 2): _strict(_part),
    ("date_part", 2): _strict(_part),
    ("to_char", 2): _strict(_to_char),
    ("to_timestamp", 1): _strict(_to_timestamp),
    ("lower", 1): _strict(lambda text: _text(text).lower()),
    ("upper", 1): _strict(lambda text: _text(text).upper()),
    ("initcap", 1): _strict(_capitals),
    ("btrim", 1): _strict(lambda text: _text(text).strip(" ")),
    ("btrim", 2): _strict(lambda text, signs: _text(text).strip(signs)),
    ("strpos", 2): _strict(lambda text, part: _text(text).find(_text(part)) + 1),
    ("md5", 1): _strict(lambda text: hashlib.md5(_text(text).encode(), usedforsecurity=False).hexdigest()),
    ("lpad", 2): _strict(lambda text, length: _padded(text, length, " ", left=True)),
    ("lpad", 3): _strict(lambda text, length, fill: _padded(text, length, fill, left=True)),
    ("rpad", 2): _strict(lambda text, length: _padded(text, length, " ", left=False)),
    ("rpad", 3): _strict(lambda text, length, fill: _padded(text, length, fill, left=False)),
    ("reverse", 1): _strict(lambda text: _text(text)[::-1]),
    ("repeat", 2): _strict(_repeated),
    ("ascii", 1): _strict(lambda text: ord(text[0]) if text else 0),
    ("chr", 1): _strict(chr),
    ("concat_ws", -1): _joined_by,
    ("starts_with", 2): _strict(lambda text, part: _text(text).startswith(_text(part))),
    ("regexp_replace", 3): _strict(_replaced),
    ("regexp_replace", 4): _strict(_replaced),
    ("translate", 3): _strict(_translated),
    ("jsonb_typeof", 1): _strict(_kind_of),
    ("json_typeof", 1): _strict(_kind_of),
    ("array_length", 2): _strict(lambda array, _: _length(array) or None),
    ("cardinality", 1): _strict(_length),
}
"""By name and number of arguments; -1 is any number."""
