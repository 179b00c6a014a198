"""Sums in the making: rows added one by one, or a column at a time where all are plain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias

from tollkit.errors import ArgumentError
from tollkit.usage.amounts import parse_integer, shown
from tollkit.usage.rows import names_of, read, wire_name

__all__ = [
    "AMOUNTS", "OF_PIPELINE", "OF_TOTALS", "OF_USER", "Found", "Sums", "add_group", "add_rows", "count", "merge",
    "one_currency", "unreadable",
]  # fmt: skip

AMOUNTS = (
    "network_fee_usd_micros",
    "owner_charge_usd_micros",
    "end_user_billable_usd_micros",
    "fee_wei",
    "platform_fee_usd_micros",
)  # fields that few rows have come last: `read` is quicker then


def _fields(fee_in_wei: str) -> tuple[str, ...]:
    """What is read of a row; the fee in wei has another name in each kind of them."""
    return ("request_count", "currency", *(fee_in_wei if name == "fee_wei" else name for name in AMOUNTS))


OF_TOTALS, OF_USER, OF_PIPELINE = _fields("total_fee_wei"), _fields("fee_wei"), _fields("network_fee_wei")


_NONE = type(None)
Found: TypeAlias = "dict[tuple[Any, ...], Sums]"
"""Sums by key."""


class Sums:
    """The count, then the amounts."""

    __slots__ = ("currency", "values")

    def __init__(self) -> None:
        self.currency: str | None = None
        self.values: list[int] = [0] * (1 + len(AMOUNTS))


def add_group(
    found: Found, rows: list[Any], keys: tuple[str, ...], fields: tuple[str, ...], place: str, first: int = 0
) -> None:
    """Add rows of one answer.

    Args:
        found: What the rows are added to.
        rows: In any form.
        keys: The fields that say where a row counts.
        fields: The fields to add, `OF_USER` or one of its like.
        place: What errors call the rows, e.g. `by_user`.
        first: The number of the first of them.

    Raises:
        ArgumentError: A count or an amount is not a whole number, or currencies differ; the error names the place.
    """
    if rows and not _add_columns(found, rows, keys, fields):
        add_rows(found, read(rows, *keys, *fields), len(keys), place, first)


def merge(found: Found, fresh: Found) -> None:
    """Add sums to sums, by their keys; both must have the same currency, which `one_currency` tells."""
    for key, sums in fresh.items():
        known = found.get(key)
        if known is None:
            found[key] = sums
            continue
        known.currency = known.currency or sums.currency
        values = known.values
        for at, value in enumerate(sums.values):
            values[at] += value


def add_rows(found: Found, rows: Iterable[tuple[Any, ...]], wide: int, group: str, first: int) -> int:
    """Add rows, read in the order: keys, count, currency, amounts. Returns their number."""
    index = first
    for index, row in enumerate(rows, first + 1):
        key = row[:wide]
        sums = found.get(key)
        if sums is None:
            sums = found[key] = Sums()
        requests, currency, *values = row[wide:]
        place = f"{group}[{index - 1}]"
        summed = sums.values
        summed[0] += requests if type(requests) is int else count(requests, f"{place}.requestCount")
        if currency and currency != sums.currency:
            sums.currency = one_currency(sums.currency, currency, f"{place}.currency")
        for at, value in enumerate(values, 1):
            if value:
                whole = value if type(value) is int else parse_integer(value)
                if whole is None:
                    raise unreadable(value, f"{place}.{wire_name(AMOUNTS[at - 1])}")
                summed[at] += whole
    return index - first


Columns: TypeAlias = "Mapping[int, Iterable[int]]"
"""Whole numbers of all rows: by their place in `Sums.values`, those that no row has left out."""


def _add_columns(found: Found, rows: list[Any], keys: tuple[str, ...], fields: tuple[str, ...]) -> bool:
    """Add rows that are all of one kind and plain, a column at a time, which takes a fifth of `add_rows`' time.

    Returns:
        False when something about them is unusual, such as two currencies or a number with a fraction; then nothing
        has been added, and `add_rows` does the work or finds the place of the trouble.
    """
    kinds = set(map(type, rows))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is dict:
        read = _plain(rows, keys, fields)
    elif kind is not None and names_of(kind) is not None:
        read = _typed(kind, rows, keys, fields)
    else:
        return False
    if read is None:
        return False
    users, currencies, columns = read
    currencies |= {sums.currency for sums in found.values() if sums.currency}
    if len(currencies) != 1 or None in currencies:
        return False
    (currency,) = currencies
    fresh: dict[Any, list[int]] = {}
    try:
        if len(columns) == 4:  # a count and three amounts, as the platforms send them: one pass for all
            blank = [0, 0, 0, 0]
            for user, one, two, three, four in zip(users, *columns.values(), strict=True):
                summed = fresh.get(user)
                if summed is None:
                    summed = fresh[user] = blank.copy()
                summed[0] += one
                summed[1] += two
                summed[2] += three
                summed[3] += four
        else:
            for user, *values in zip(users, *columns.values(), strict=True):
                summed = fresh.setdefault(user, [0] * len(columns))
                for at, value in enumerate(values):
                    summed[at] += value
    except TypeError:
        return False
    if any(type(value) is not int for summed in fresh.values() for value in summed):
        return False  # a float or a decimal among the values has made its sum one
    for user, summed in fresh.items():
        key = (user,) if len(keys) == 1 else user
        sums = found.get(key)
        if sums is None:
            sums = found[key] = Sums()
        sums.currency = currency
        for at, value in zip(columns, summed, strict=True):
            sums.values[at] += value
    return True


def _typed(
    kind: type, rows: list[Any], keys: tuple[str, ...], fields: tuple[str, ...]
) -> tuple[Iterable[Any], set[str | None], Columns] | None:
    """Keys, currencies and numbers of models."""
    known = names_of(kind) or ()
    if not {*keys, "request_count", "currency"}.issubset(known):
        return None
    named = {at: attrgetter(name) for at, name in enumerate((fields[0], *fields[2:])) if name in known}
    columns = {
        at: map(get, rows) for at, get in named.items() if get(rows[0]) is not None or set(map(get, rows)) != {None}
    }
    return map(attrgetter(*keys), rows), set(map(attrgetter("currency"), rows)), columns


def _plain(
    rows: list[dict[str, Any]], keys: tuple[str, ...], fields: tuple[str, ...]
) -> tuple[Iterable[Any], set[str | None], Columns] | None:
    """Keys, currencies and numbers of decoded JSON; a column of decimal text is looked at as one text."""
    columns: dict[int, list[int]] = {}
    try:
        for at, name in enumerate((fields[0], *fields[2:])):
            wire = wire_name(name)
            values: list[Any] = [row.get(wire) for row in rows]
            types = set(map(type, values))
            if at == 0 and types != {int}:
                return None
            if types == {str}:
                digits = "".join(values)
                if not (digits.isascii() and digits.isdecimal() and all(values)):
                    return None
                columns[at] = list(map(int, values))
            elif types == {int}:
                columns[at] = values
            elif types != {_NONE}:
                return None
        users: list[Any] = [row.get(wire_name(keys[0])) for row in rows]
        if len(keys) > 1:
            users = list(zip(users, *([row.get(wire_name(key)) for row in rows] for key in keys[1:]), strict=True))
        return users, {row.get("currency") for row in rows}, columns
    except (TypeError, ValueError):  # a currency that is no text; a number of thousands of digits
        return None


def one_currency(one: str | None, other: str | None, place: str) -> str | None:
    """The currency of two sums, either of which may have none.

    Raises:
        ArgumentError: They have two; the error names the place.
    """
    if one and other and one != other:
        raise ArgumentError(place, f"is {other} where {one} was before: sums of two currencies mean nothing")
    return one or other


def unreadable(value: object, place: str) -> ArgumentError:
    """The error for an amount that is no whole number; its message is that of the platforms' own clients.

    Args:
        value: As in the row.
        place: Where it is, e.g. `by_user[3].feeWei`.
    """
    return ArgumentError(
        place,
        f"must be a whole number in decimal text, got {shown(value)!r}",
        message=f"Cannot convert {shown(value)} to a BigInt",
    )


def count(value: object, place: str) -> int:
    """A count from a row, which must be there and a whole number.

    Args:
        value: As in the row.
        place: Where it is, for the error.

    Raises:
        ArgumentError: It is missing, has a fraction, or is no number.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise ArgumentError(place, f"must be a whole number, got {shown(value)!r}")
    return value
