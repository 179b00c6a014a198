"""Which texts JavaScript's `Date.parse` takes for a date, as V8 has it: the platform checks `startDate` with it.

V8 first reads the text as ISO 8601 (ECMA-262, Date Time String Format). What is left over goes to a second reader
that forgives nearly everything: words before the first number, text in parentheses, month names, am and pm, time
zone names, numbers in almost any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import attrs

from tollkit.usage.amounts import WHITE_SPACE

__all__ = ["parse_js_date"]

_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_ZONES = {"utc": 0, "ut": 0, "z": 0, "gmt": 0, "edt": -4, "est": -5, "cdt": -5, "cst": -6} | {
    "mdt": -6, "mst": -7, "pdt": -7, "pst": -8,
}  # fmt: skip
_HALVES = {"am": 0, "pm": 12}
_SPACE = WHITE_SPACE.replace("\u2028", "").replace("\u2029", "")  # these two count as letters here
_LATEST_MS = 8_640_000_000_000_000  # ECMA-262, TimeClip
_READ_DIGITS = 9

_Kind = Literal["number", "symbol", "word", "space", "other", "end"]


@attrs.frozen(slots=True)
class _Token:
    kind: _Kind
    text: str

    @property
    def number(self) -> int:
        """The value; of a long numeral only the first significant digits count."""
        return int(self.text.lstrip("0")[:_READ_DIGITS] or "0")

    def digits(self, count: int, low: int, high: int) -> bool:
        """Whether this is a numeral of so many digits with a value in the range."""
        return self.kind == "number" and len(self.text) == count and low <= self.number <= high

    def is_symbol(self, *symbols: str) -> bool:
        return self.kind == "symbol" and self.text in symbols


_END = _Token("end", "")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    text = text.partition("\0")[0]
    while at < len(text):
        character = text[at]
        start = at
        at += 1
        if "0" <= character <= "9":
            while at < len(text) and "0" <= text[at] <= "9":
                at += 1
            yield _Token("number", text[start:at])
        elif character in ":-+.)":
            yield _Token("symbol", character)
        elif character in _SPACE:
            yield _Token("space", character)
        elif character >= "A":
            while at < len(text) and text[at] >= "A" and text[at] not in _SPACE:
                at += 1
            yield _Token("word", text[start:at].lower())
        elif character == "(":
            depth = 1
            while at < len(text) and depth:
                depth += {"(": 1, ")": -1}.get(text[at], 0)
                at += 1
            yield _Token("other", text[start:at])
        else:
            yield _Token("other", character)


class _Tokens:
    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self.peek = next(self._rest, _END)

    def next(self) -> _Token:
        token = self.peek
        self.peek = next(self._rest, _END)
        return token

    def skip(self, symbol: str) -> bool:
        found = self.peek.is_symbol(symbol)
        if found:
            self.next()
        return found


class _Refused(Exception):
    """The text is no date."""


@attrs.define(slots=True)
class _Found:
    """What has been read so far."""

    day: list[int] = attrs.Factory(list[int])
    time: list[int] = attrs.Factory(list[int])
    month: int | None = None
    half: int | None = None
    sign: int | None = None
    hours: int | None = None
    minutes: int | None = None
    is_iso: bool = False

    def add_day(self, number: int) -> None:
        if len(self.day) == 3:
            raise _Refused
        self.day.append(number)

    def add_time(self, number: int) -> None:
        if len(self.time) == 4:
            raise _Refused
        self.time.append(number)

    def end_time(self, number: int) -> None:
        self.add_time(number)
        self.time += [0] * (4 - len(self.time))

    def expects_time(self, number: int) -> bool:
        return number <= (-1, 59, 59, 999, -1)[len(self.time)]

    def zone(self, hours: int) -> None:
        self.sign, self.hours, self.minutes = (-1 if hours < 0 else 1), abs(hours), 0

    def milliseconds(self) -> int:
        """The instant, in milliseconds since 1970; without a zone, as if in UTC."""
        return self._date() * 86_400_000 + self._time() - self._offset() * 1000

    def _date(self) -> int:
        if not self.day:
            raise _Refused
        first, second, third = (*self.day, 1, 1)[:3]  # what is missing is 1: a year, then, is 2001
        if self.is_iso:
            year, month, day = first, second, third
        elif self.month is not None:
            month = self.month
            day, year = (first, second) if 1 <= first <= 31 else (second, first)
        elif 1 <= first <= 31:
            month, day, year = first, second, third
        else:
            year, month, day = first, second, third
        if not self.is_iso and 0 <= year <= 99:
            year += 2000 if year <= 49 else 1900
        if not (1 <= month <= 12 and 1 <= day <= 31):
            raise _Refused
        return _days(year, month) + day - 1

    def _time(self) -> int:
        hour, minute, second, millisecond = (*self.time, 0, 0, 0, 0)[:4]
        if self.half is not None:
            if hour > 12:
                raise _Refused
            hour = hour % 12 + self.half
        if not (hour <= 23 and minute <= 59 and second <= 59 and millisecond <= 999) and (
            (hour, minute, second, millisecond) != (24, 0, 0, 0)
        ):
            raise _Refused
        return ((hour * 60 + minute) * 60 + second) * 1000 + millisecond

    def _offset(self) -> int:
        if self.sign is None:
            return 0
        seconds = (self.hours or 0) * 3600 + (self.minutes or 0) * 60
        if seconds % 2**32 > 2**31 - 1:
            raise _Refused
        return self.sign * (seconds % 2**32)


def _days(year: int, month: int) -> int:
    """Days from 1970-01-01 to the first of a month, in the Gregorian calendar without end."""
    year -= month <= 2
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5
    return year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719_468


def parse_js_date(text: str) -> int | None:
    """The instant that `Date.parse` finds, where the local zone is UTC.

    Args:
        text: Any text.

    Returns:
        Milliseconds since 1970-01-01T00:00:00Z, or `None` where JavaScript has `NaN`.
    """
    tokens = _Tokens(text)
    found = _Found()
    try:
        token = _read_iso(tokens, found)
        _read_legacy(token, tokens, found)
        instant = found.milliseconds()
    except _Refused:
        return None
    return instant if abs(instant) <= _LATEST_MS else None


def _read_iso(tokens: _Tokens, found: _Found) -> _Token:
    """Read as much as is ISO 8601; gives the first token that is for the second reader."""
    if tokens.peek.is_symbol("+", "-"):
        sign = tokens.next()
        year = tokens.peek
        if not year.digits(6, 0, 999_999):
            return sign
        tokens.next()
        if sign.text == "-" and year.number == 0:
            return sign
        found.add_day(-year.number if sign.text == "-" else year.number)
    elif tokens.peek.digits(4, 0, 9999):
        found.add_day(tokens.next().number)
    else:
        return tokens.next()
    for high in (12, 31):
        if not tokens.skip("-"):
            break
        if not tokens.peek.digits(2, 1, high):
            return tokens.next()
        found.add_day(tokens.next().number)
    if tokens.peek == _Token("word", "t"):
        _read_iso_time(tokens, found)
    elif tokens.peek.kind != "end":
        return tokens.next()
    found.is_iso = True
    return _END


def _read_iso_time(tokens: _Tokens, found: _Found) -> None:
    tokens.next()
    hour = _exactly(tokens, 24)
    most = 0 if hour == 24 else 59
    found.time.append(hour)
    if not tokens.skip(":"):
        raise _Refused
    found.time.append(_exactly(tokens, most))
    if tokens.skip(":"):
        found.time.append(_exactly(tokens, most))
        if tokens.skip("."):
            fraction = tokens.next()
            if fraction.kind != "number" or (hour == 24 and fraction.number > 0):
                raise _Refused
            found.time.append(_thousandths(fraction))
    if tokens.peek == _Token("word", "z"):
        tokens.next()
        found.zone(0)
    elif tokens.peek.is_symbol("+", "-"):
        found.sign = 1 if tokens.next().text == "+" else -1
        if tokens.peek.kind == "number" and len(tokens.peek.text) == 4:
            found.hours, found.minutes = divmod(tokens.next().number, 100)
            if found.hours > 23 or found.minutes > 59:
                raise _Refused
        else:
            found.hours = _exactly(tokens, 23)
            if not tokens.skip(":"):
                raise _Refused
            found.minutes = _exactly(tokens, 59)
    if tokens.peek.kind != "end":
        raise _Refused


def _exactly(tokens: _Tokens, high: int) -> int:
    """The next two digits, which must not be more than `high`."""
    if not tokens.peek.digits(2, 0, high):
        raise _Refused
    return tokens.next().number


def _thousandths(fraction: _Token) -> int:
    """The first three digits behind the point; of a numeral longer than is read, the first significant ones."""
    digits = fraction.text if len(fraction.text) <= _READ_DIGITS else f"{fraction.number:09d}"
    return int(digits[:3].ljust(3, "0"))


def _read_legacy(token: _Token, tokens: _Tokens, found: _Found) -> None:
    had_number = bool(found.day)
    while token.kind != "end":
        if token.kind == "number":
            had_number = True
            _read_number(token, tokens, found)
        elif token.kind == "word":
            _read_word(token, tokens, found, had_number)
        elif token.is_symbol("+", "-") and (found.time or (found.hours == 0 and found.minutes == 0)):
            had_number = True
            _read_offset(token, tokens, found)
        elif token.is_symbol("+", "-", ")") and had_number:
            raise _Refused
        token = tokens.next()


def _read_number(token: _Token, tokens: _Tokens, found: _Found) -> None:
    number = token.number
    if tokens.skip(":"):
        if tokens.skip(":"):
            if found.time:
                raise _Refused
            found.time += [number, 0]
        else:
            found.add_time(number)
            tokens.skip(".")
    elif tokens.skip(".") and found.expects_time(number):
        found.add_time(number)
        fraction = tokens.next()
        if fraction.kind != "number":
            raise _Refused
        if len(found.time) < 4:
            found.end_time(_thousandths(fraction))
    elif found.hours is not None and found.minutes is None and number <= 59:
        found.minutes = number
    elif found.expects_time(number):
        found.end_time(number)
        after = tokens.peek
        if not (after.kind in {"end", "space"} or after.is_symbol("+", "-") or after == _Token("word", "z")):
            raise _Refused
    else:
        found.add_day(number)
        tokens.skip("-")


def _read_word(token: _Token, tokens: _Tokens, found: _Found, had_number: bool) -> None:
    word = token.text
    if word in _HALVES and found.time:
        found.half = _HALVES[word]
    elif word[:3] in _MONTHS:
        found.month = _MONTHS[word[:3]]
        tokens.skip("-")
    elif word in _ZONES and had_number:
        found.zone(_ZONES[word])
    elif had_number or tokens.peek.kind == "number":
        raise _Refused


def _read_offset(token: _Token, tokens: _Tokens, found: _Found) -> None:
    found.sign = 1 if token.text == "+" else -1
    number = tokens.next() if tokens.peek.kind == "number" else _Token("number", "")
    value = number.number if number.text else 0
    if tokens.peek.is_symbol(":"):
        found.hours, found.minutes = value, None
    elif len(number.text) in {1, 2}:
        found.hours, found.minutes = value, 0
    elif len(number.text) in {3, 4}:
        found.hours, found.minutes = divmod(value, 100)
    else:
        raise _Refused
