"""Amounts in wei as text for people."""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_UP, Context, Decimal, InvalidOperation

from tollkit.errors import ArgumentError
from tollkit.pymthouse.errors import raised
from tollkit.usage.amounts import integer_text, parse_integer, wei_to_eth
from tollkit.usage.sums import unreadable

__all__ = ["format_wei_to_eth", "format_wei_to_usd"]

_WEI_PER_ETH = 10**18
_CENT = Decimal("0.01")


def _wei(wei: str | int | None) -> int:
    found = parse_integer(wei or 0)
    if found is None:
        raise raised(unreadable(wei, "wei"))
    return found


def format_wei_to_eth(wei: str | int | None) -> str:
    """Wei as ETH with six decimals, cut off and not rounded: `1.234567 ETH`; none when they are all zero.

    Args:
        wei: An amount in wei (10^-18 ETH), a number or text; nothing counts as 0.

    Raises:
        ArgumentError: `wei` is no whole number.
    """
    found = _wei(wei)
    whole, rest = divmod(abs(found), _WEI_PER_ETH)
    decimals = f"{rest:018d}"[:6].replace("000000", "")
    sign = "-" if found < 0 and (whole or decimals) else ""
    return f"{sign}{integer_text(whole)}{'.' if decimals else ''}{decimals} ETH"


def format_wei_to_usd(wei: str | int | None, usd_per_eth: Decimal | float | str = 3500) -> str:
    """Wei as USD with two decimals at a price: `$1234.50`, halves away from zero.

    The amount is exact: a price that is a float counts with its exact binary value, so 1.005 is a bit less.

    Args:
        wei: An amount in wei (10^-18 ETH), a number or text; nothing counts as 0.
        usd_per_eth: Dollars for one ETH.

    Raises:
        ArgumentError: `wei` is no whole number, or `usd_per_eth` no number.
    """
    eth = wei_to_eth(_wei(wei))
    try:
        price = Decimal(usd_per_eth)
    except (InvalidOperation, TypeError, ValueError) as problem:
        raise raised(ArgumentError("usd_per_eth", "must be a number")) from problem
    if price.is_nan() or (price.is_infinite() and not eth):
        return "$NaN"
    if price.is_infinite():
        return "$Infinity" if (price > 0) == (eth > 0) else "$-Infinity"
    digits = len(eth.as_tuple().digits) + len(price.as_tuple().digits) + abs(price.adjusted()) + 25
    exact = Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_UP)
    dollars = exact.multiply(eth, price)
    cents = dollars.quantize(_CENT, context=exact)
    return f"${cents if dollars else abs(cents)}"
