"""Sums over usage: of everything, by user, by pipeline and model. Exact, in one pass, in memory of the groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import attrs

from tollkit.errors import ArgumentError
from tollkit.usage.amounts import integer_text
from tollkit.usage.rows import Group, field, groups, is_answer, read, wire_name
from tollkit.usage.sums import (
    AMOUNTS,
    OF_PIPELINE,
    OF_TOTALS,
    OF_USER,
    Found,
    Sums,
    add_group,
    add_rows,
    one_currency,
)

__all__ = ["UsageTotals", "by_pipeline_model", "by_user", "total_of", "totals"]


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
            currency=one_currency(self.currency, other.currency, "currency"),
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
    found: Found = {}
    for at, item in enumerate([source] if is_answer(source) else _items(source)):
        if is_answer(item):
            add_rows(found, read([field(item, "totals")], *OF_TOTALS), 0, "totals", at)
        else:
            add_rows(found, read([item], *OF_USER), 0, "totals", at)
    return total_of(found[()]) if found else UsageTotals()


def by_user(source: object, key: str = "external_user_id") -> dict[str | None, UsageTotals]:
    """Sums by user, in the order of first appearance.

    Args:
        source: A usage answer asked for by user, or an iterable of such answers or of their rows.
        key: The field that says who: `external_user_id` (your id, `None` where the platform knows none) or
            `end_user_id` (the platform's own; one person may have several).

    Raises:
        ArgumentError: As for `totals`.
    """
    found = _sums(source, "by_user", (key,), OF_USER)
    return {user: total_of(sums) for (user,), sums in found.items()}


def by_pipeline_model(source: object) -> dict[tuple[str, str], UsageTotals]:
    """Sums by pipeline and model, in the order of first appearance.

    Args:
        source: A usage answer asked for by pipeline and model, or an iterable of such answers or of their rows.

    Raises:
        ArgumentError: As for `totals`, or a row has no pipeline or model.
    """
    found = _sums(source, "by_pipeline_model", ("pipeline", "model_id"), OF_PIPELINE)
    if any(None in pair for pair in found):
        raise ArgumentError("source", "must have rows by pipeline and model, each with both")
    return {(pipeline, model): total_of(sums) for (pipeline, model), sums in found.items()}


def total_of(sums: Sums) -> UsageTotals:
    """A sum that is done."""
    return UsageTotals(
        request_count=sums.values[0],
        currency=sums.currency,
        **dict(zip(AMOUNTS, sums.values[1:], strict=True)),
    )


def _items(source: object) -> Iterable[object]:
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise ArgumentError("source", "must be a usage answer, or an iterable of answers or rows")
    return cast("Iterable[object]", source)


def _sums(source: object, group: Group, keys: tuple[str, ...], fields: tuple[str, ...]) -> Found:
    """Sums of the rows of a group, by some of their fields."""
    found: Found = {}
    passed = 0
    for item in [source] if is_answer(source) else _items(source):
        rows = list(groups(item, group)) if is_answer(item) else [item]
        add_group(found, rows, keys, fields, group, passed)
        passed += len(rows)
    return found
