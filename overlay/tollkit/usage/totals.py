"""Sums over usage: of everything, by user, by pipeline and model. Exact, in one pass, in memory of the groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeAlias, cast

import attrs

from tollkit.errors import ArgumentError
from tollkit.usage.amounts import integer_text, parse_integer, shown
from tollkit.usage.rows import Group, field, groups, is_answer, read, wire_name

__all__ = ["UsageTotals", "by_pipeline_model", "by_user", "count", "totals", "unreadable"]

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


_OF_TOTALS, _OF_USER, _OF_PIPELINE = _fields("total_fee_wei"), _fields("fee_wei"), _fields("network_fee_wei")


@attrs.frozen(kw_only=True)
class UsageTotals:
    """A sum of usage. Add two with `+`.

    Attributes:
        request_count: Requests.
        currency: Currency of the dollar amounts (ISO 4217); `None` when no row said one.
        network_fee_usd_micros: Fees of the network, in micro-dollars (10^-6 USD).
        owner_charge_usd_micros: What the app's owner is charged, in micro-dollars.
        end_user_billable_usd_micros: Billable to end users, in micro-dollars.
        fee_wei: Fees of the network, in wei (10^-18 ETH).
        platform_fee_usd_micros: The platform's cut, in micro-dollars.
    """

    request_count: int = 0
    currency: str | None = None
    network_fee_usd_micros: int = 0
    owner_charge_usd_micros: int = 0
    end_user_billable_usd_micros: int = 0
    fee_wei: int = 0
    platform_fee_usd_micros: int = 0

    def __add__(self, other: object) -> UsageTotals:
        if not isinstance(other, UsageTotals):
            return NotImplemented
        return UsageTotals(
            request_count=self.request_count + other.request_count,
            currency=_one_currency(self.currency, other.currency, "currency"),
            **{name: getattr(self, name) + getattr(other, name) for name in AMOUNTS},
        )

    def to_dict(self) -> dict[str, Any]:
        """The sum in wire names, money in decimal text."""
        named = {wire_name(name): integer_text(getattr(self, name)) for name in AMOUNTS}
        return {"requestCount": self.request_count, "currency": self.currency, **named}


_NONE = type(None)
_Found: TypeAlias = "dict[tuple[Any, ...], _Sums]"


def totals(source: object) -> UsageTotals:
    """The sum of everything.

    Args:
        source: A usage answer, or an iterable of answers or of rows (decoded JSON or models). An answer counts by
            its own `totals`, so that an answer without rows counts as well.

    Raises:
        ArgumentError: A count or an amount is not a whole number, or currencies differ; the error names the place.
    """
    found: _Found = {}
    for at, item in enumerate([source] if is_answer(source) else _items(source)):
        if is_answer(item):
            _add(found, read([field(item, "totals")], *_OF_TOTALS), 0, "totals", at)
        else:
            _add(found, read([item], *_OF_USER), 0, "totals", at)
    return found[()].total() if found else UsageTotals()


def by_user(source: object, key: str = "external_user_id") -> dict[str | None, UsageTotals]:
    """Sums by user, in the order of first appearance.

    Args:
        source: A usage answer asked for by user, or an iterable of such answers or of their rows.
        key: The field that says who: `external_user_id` (your id, `None` where the platform knows none) or
            `end_user_id` (the platform's own; one person may have several).

    Raises:
        ArgumentError: As for `totals`.
    """
    found = _sums(source, "by_user", (key,), _OF_USER)
    return {user: sums.total() for (user,), sums in found.items()}


def by_pipeline_model(source: object) -> dict[tuple[str, str], UsageTotals]:
    """Sums by pipeline and model, in the order of first appearance.

    Args:
        source: A usage answer asked for by pipeline and model, or an iterable of such answers or of their rows.

    Raises:
        ArgumentError: As for `totals`, or a row has no pipeline or model.
    """
    found = _sums(source, "by_pipeline_model", ("pipeline", "model_id"), _OF_PIPELINE)
    if any(None in pair for pair in found):
        raise ArgumentError("source", "must have rows by pipeline and model, each with both")
    return {(pipeline, model): sums.total() for (pipeline, model), sums in found.items()}


def _items(source: object) -> Iterable[object]:
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise ArgumentError("source", "must be a usage answer, or an iterable of answers or rows")
    return cast("Iterable[object]", source)


def _sums(
    source: object, group: Group, keys: tuple[str, ...], fields: tuple[str, ...]
) -> dict[tuple[Any, ...], _Sums]:
    """Sums of the rows of a group, by some of their fields."""
    found: _Found = {}
    passed = 0
    for item in [source] if is_answer(source) else _items(source):
        rows = list(groups(item, group)) if is_answer(item) else [item]
        if rows and _add_columns(found, rows, keys, fields):
            passed += len(rows)
        else:
            passed += _add(found, read(rows, *keys, *fields), len(keys), group, passed)
    return found


def _add(found: _Found, rows: Iterable[tuple[Any, ...]], wide: int, group: str, first: int) -> int:
    """Add rows, read in the order: keys, count, currency, amounts. Returns their number."""
    index = first
    for index, row in enumerate(rows, first + 1):
        key = row[:wide]
        sums = found.get(key)
        if sums is None:
            sums = found[key] = _Sums()
        requests, currency, *values = row[wide:]
        place = f"{group}[{index - 1}]"
        summed = sums.values
        summed[0] += requests if type(requests) is int else count(requests, f"{place}.requestCount")
        if currency and currency != sums.currency:
            sums.currency = _one_currency(sums.currency, currency, f"{place}.currency")
        for at, value in enumerate(values, 1):
            if value:
                whole = value if type(value) is int else parse_integer(value)
                if whole is None:
                    raise unreadable(value, f"{place}.{wire_name(AMOUNTS[at - 1])}")
                summed[at] += whole
    return index - first


Columns: TypeAlias = "Mapping[int, Iterable[int]]"
"""Whole numbers of all rows: by their place in `_Sums.values`, those that no row has left out."""


def _add_columns(found: _Found, rows: list[Any], keys: tuple[str, ...], fields: tuple[str, ...]) -> bool:
    """Add rows that are all of one kind and plain, a column at a time, which takes a fifth of `_add`'s time.

    Returns:
        False when something about them is unusual, such as two currencies or a number with a fraction; then nothing
        has been added, and `_add` does the work or finds the place of the trouble.
    """
    kinds = set(map(type, rows))
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is dict:
        read = _plain(rows, keys, fields)
    elif kind is not None and attrs.has(kind):
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
            sums = found[key] = _Sums()
        sums.currency = currency
        for at, value in zip(columns, summed, strict=True):
            sums.values[at] += value
    return True


def _typed(
    kind: type, rows: list[Any], keys: tuple[str, ...], fields: tuple[str, ...]
) -> tuple[Iterable[Any], set[str | None], Columns] | None:
    """Keys, currencies and numbers of models."""
    known = attrs.fields_dict(kind)
    if not {*keys, "request_count", "currency"} <= known.keys():
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


class _Sums:
    """A sum in the making: the count, then the amounts."""

    __slots__ = ("currency", "values")

    def __init__(self) -> None:
        self.currency: str | None = None
        self.values = [0] * (1 + len(AMOUNTS))

    def total(self) -> UsageTotals:
        return UsageTotals(
            request_count=self.values[0],
            currency=self.currency,
            **dict(zip(AMOUNTS, self.values[1:], strict=True)),
        )


def _one_currency(one: str | None, other: str | None, place: str) -> str | None:
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
