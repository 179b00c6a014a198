"""What JavaScript does to texts, where the platform's own client relies on it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from tollkit.usage.amounts import WHITE_SPACE

__all__ = ["stringify", "trim"]

_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")


def trim(text: str) -> str:
    """The text without JavaScript's white space around it (which is another set than Python's)."""
    return text.strip(WHITE_SPACE)


def stringify(value: Any) -> str:
    """A JSON value as `JSON.stringify` writes it: compact, non-ASCII as it is. Hashes depend on it."""
    if isinstance(value, Mapping):
        members = _in_order(cast("Mapping[str, Any]", value))
        return "{" + ",".join(f"{_text(name)}:{stringify(member)}" for name, member in members) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(stringify(item) for item in cast("list[Any]", value)) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    try:
        return _number(float(value))
    except OverflowError:  # a whole number beyond the doubles, which JavaScript reads as infinite
        return "null"


def _text(text: str) -> str:
    written = json.dumps(text, ensure_ascii=False)
    if written.isascii():
        return written
    # a lone half of a surrogate pair has no UTF-8 form, and is escaped
    return "".join(f"\\u{ord(unit):04x}" if "\ud800" <= unit <= "\udfff" else unit for unit in written)


def _in_order(members: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The members as a JavaScript object keeps them: array indices first, by number."""
    indices = sorted((name for name in members if _INDEX.fullmatch(name) and int(name) < 2**32 - 1), key=int)
    return [(name, members[name]) for name in dict.fromkeys([*indices, *members])]


def _number(number: float) -> str:
    """ECMA-262, Number::toString; the digits are those that Python's `repr` finds as well."""
    if not math.isfinite(number):
        return "null"
    if number == 0:
        return "0"
    mantissa, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))  # digits before the point
    digits = digits.rstrip("0")
    sign = "-" if number < 0 else ""
    if 0 < point <= 21:
        if len(digits) <= point:
            return sign + digits.ljust(point, "0")
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
