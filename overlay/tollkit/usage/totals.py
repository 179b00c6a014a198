"""Sums over usage: of everything, by user, by pipeline and model. Exact, in one pass, in memory of the groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import attrs

from tollkit.errors import ArgumentError
from tollkit.usage.amounts import integer_text, parse_integer, shown
from tollkit.usage.rows import MISSING, Group, field, groups, is_answer, read, wire_name

__all__ = ["UsageTotals", "amount", "by_pipeline_model", "by_user", "count", "totals"]

AMOUNTS = (
    "network_fee_usd_micros",
    "owner_charge_usd_micros",
    "platform_fee_usd_micros",
    "end_user_billable_usd_micros",
    "fee_wei",
)


@attrs.frozen(kw_only=True)
class UsageTotals:
    """A sum of usage. Add two with `+`.

    Attributes:
        request_count: Requests.
        currency: Currency of the dollar amounts (ISO 4217); `None` when no row said one.
        network_fee_usd_micros: Fees of the network, in micro-dollars (10^-6 USD).
        owner_charge_usd_micros: What the app's owner is charged, in micro-dollars.
        platform_fee_usd_micros: The platform's cut, in micro-dollars.
        end_user_billable_usd_micros: Billable to end users, in micro-dollars.
        fee_wei: Fees of the network, in wei (10^-18 ETH).
    """

    request_count: int = 0
    currency: str | None = None
    network_fee_usd_micros: int = 0
    owner_charge_usd_micros: int = 0
    platform_fee_usd_micros: int = 0
    end_user_billable_usd_micros: int = 0
    fee_wei: int = 0

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


def totals(source: object) -> UsageTotals:
    """The sum of everything.

    Args:
        source: A usage answer, or an iterable of answers or of rows (decoded JSON or models). An answer counts by
            its own `totals`, so that an answer without rows counts as well.

    Raises:
        ArgumentError: A count or an amount is not a whole number, or currencies differ; the error names the place.
    """
    sums = _Sums()
    items = [source] if is_answer(source) else _items(source)
    rows = (field(item, "totals") if is_answer(item) else item for item in items)
    for index, values in enumerate(read(rows, "request_count", "currency", *AMOUNTS)):
        sums.add(values, f"totals[{index}]")
    return sums.total()


def by_user(source: object, key: str = "external_user_id") -> dict[str | None, UsageTotals]:
    """Sums by user, in the order of first appearance.

    Args:
        source: A usage answer asked for by user, or an iterable of such answers or of their rows.
        key: The field that says who: `external_user_id` (your id, `None` where the platform knows none) or
            `end_user_id` (the platform's own; one person may have several).

    Raises:
        ArgumentError: As for `totals`.
    """
    return {user: sums for (user,), sums in _grouped(source, "by_user", (key,)).items()}


def by_pipeline_model(source: object) -> dict[tuple[str, str], UsageTotals]:
    """Sums by pipeline and model, in the order of first appearance.

    Args:
        source: A usage answer asked for by pipeline and model, or an iterable of such answers or of their rows.

    Raises:
        ArgumentError: As for `totals`.
    """
    return cast(
        "dict[tuple[str, str], UsageTotals]", _grouped(source, "by_pipeline_model", ("pipeline", "model_id"))
    )


def _grouped(source: object, group: Group, keys: tuple[str, ...]) -> dict[tuple[Any, ...], UsageTotals]:
    found: dict[tuple[Any, ...], _Sums] = {}
    wide = len(keys)
    for index, values in enumerate(read(_rows(source, group), *keys, "request_count", "currency", *AMOUNTS)):
        key = values[:wide]
        if MISSING in key:
            name = wire_name(keys[key.index(MISSING)])
            raise ArgumentError(f"{group}[{index}].{name}", "is missing; was the usage asked for by another group?")
        sums = found.get(key)
        if sums is None:
            sums = found[key] = _Sums()
        sums.add(values[wide:], f"{group}[{index}]")
    return {key: sums.total() for key, sums in found.items()}


def _rows(source: object, group: Group) -> Iterator[object]:
    if is_answer(source):
        yield from groups(source, group)
        return
    for item in _items(source):
        if is_answer(item):
            yield from groups(item, group)
        else:
            yield item


def _items(source: object) -> Iterable[object]:
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise ArgumentError("source", "must be a usage answer, or an iterable of answers or rows")
    return cast("Iterable[object]", source)


class _Sums:
    """A sum in the making."""

    __slots__ = ("amounts", "count", "currency")

    def __init__(self) -> None:
        self.count = 0
        self.currency: str | None = None
        self.amounts = [0] * len(AMOUNTS)

    def add(self, values: tuple[Any, ...], place: str) -> None:
        requests, currency, *amounts = values
        self.count += requests if type(requests) is int else count(requests, f"{place}.requestCount")
        if currency and currency != self.currency:
            self.currency = _one_currency(self.currency, currency, f"{place}.currency")
        for index, value in enumerate(amounts):
            if value:
                self.amounts[index] += (
                    value if type(value) is int else amount(value, f"{place}.{wire_name(AMOUNTS[index])}")
                )

    def total(self) -> UsageTotals:
        return UsageTotals(
            request_count=self.count, currency=self.currency, **dict(zip(AMOUNTS, self.amounts, strict=True))
        )


def _one_currency(one: str | None, other: str | None, place: str) -> str | None:
    if one and other and one != other:
        raise ArgumentError(place, f"is {other} where {one} was before: sums of two currencies mean nothing")
    return one or other


def amount(value: object, place: str) -> int:
    """An amount from a row, which must be a whole number.

    Args:
        value: As in the row.
        place: Where it is, for the error, e.g. `by_user[3].feeWei`.

    Raises:
        ArgumentError: It is not a whole number. Its message is the one of the platforms' own clients.
    """
    found = parse_integer(value)
    if found is None:
        raise ArgumentError(
            place,
            f"must be a whole number in decimal text, got {shown(value)!r}",
            message=f"Cannot convert {shown(value)} to a BigInt",
        )
    return found


def count(value: object, place: str) -> int:
    """A count from a row, which must be there and a whole number; null counts 0, as in JavaScript sums.

    Raises:
        ArgumentError: It is missing, has a fraction, or is no number.
    """
    if value is None:
        return 0
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise ArgumentError(place, f"must be a whole number, got {shown(value)!r}")
    return value
