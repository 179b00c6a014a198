"""Exact amounts: how money is written on the wire, and in dollars and ether.

The platforms write money as whole numbers in decimal text, since their own clients read them with JavaScript's
`BigInt`. What that accepts is accepted here, at any size.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal

__all__ = ["WHITE_SPACE", "integer_text", "micros_to_usd", "parse_integer", "shown", "wei_to_eth"]

WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript trims (ECMA-262, WhiteSpace and LineTerminator); Python's own set is another."""

_INTEGER = re.compile(r"[+-]?[0-9]+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")
_BASES = {"x": 16, "o": 8, "b": 2}
_DIGITS = 600  # at this length and below, `int` reads whatever limit is set (sys.set_int_max_str_digits)
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def parse_integer(value: object) -> int | None:
    """The whole number that a JSON value stands for, or `None` if it stands for none.

    Args:
        value: Text in decimal (with an optional sign) or in hexadecimal, octal or binary (`0x`, `0o`, `0b`, no
            sign), white space around it aside; blank text is 0. Or a number without a fraction.
    """
    if type(value) is int:
        return value
    if isinstance(value, str):
        if value.isdigit() and value.isascii() and len(value) <= _DIGITS:
            return int(value)
        text = value.strip(WHITE_SPACE)
        if not text:
            return 0
        if not _INTEGER.fullmatch(text):
            return None
        base = _BASES.get(text[1:2].lower(), 10)
        if base != 10 or len(text) <= _DIGITS:
            return int(text, base)
        return -_decimal(text[1:]) if text[0] == "-" else _decimal(text.removeprefix("+"))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def _decimal(digits: str) -> int:
    # `int` refuses long texts, since it takes quadratic time for them; halves take less
    if len(digits) <= _DIGITS:
        return int(digits)
    half = len(digits) // 2
    shift: int = 10**half
    return _decimal(digits[:-half]) * shift + _decimal(digits[-half:])


def integer_text(value: int) -> str:
    """A whole number in decimal text, of any size."""
    try:
        return str(value)
    except ValueError:  # more digits than `str` writes; decimals have no such limit
        return format(Decimal(value), "f")


def micros_to_usd(micros: int) -> Decimal:
    """Micro-dollars (10^-6 USD) in dollars, exactly: `1500000` is `Decimal("1.500000")`."""
    return Decimal(micros).scaleb(-6, _EXACT)


def wei_to_eth(wei: int) -> Decimal:
    """Wei (10^-18 ETH) in ether, exactly."""
    return Decimal(wei).scaleb(-18, _EXACT)


def shown(value: object) -> str:
    """A value as an error message may show it: short."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
